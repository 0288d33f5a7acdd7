//! Every colour of every picture, by meaning. A token has a colour on light and one on dark paper; both reach at least 3:1 against it for
//! marks and 4.5:1 for text, and neighbours on the headroom ramp stay apart under the common colour vision deficiencies. Colour never
//! speaks alone: each use has a label, a dash, a glyph or a hatch beside it. No other file of the project names a colour.

use plotters::style::{RGBAColor, RGBColor};

/// A colour by what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Token {
    Paper,
    Ink,
    Muted,
    Grid,
    /// The band behind the data while a fault lasts.
    FaultBand,
    Category1,
    Category2,
    Category3,
    Category4,
    /// Headroom at or below 1: never drains.
    HeadroomNone,
    /// About 1.2×.
    HeadroomLow,
    /// About 1.5×.
    HeadroomFair,
    /// About 2×.
    HeadroomGood,
    /// About 3× and more.
    HeadroomAmple,
    CellExact,
    CellRepeated,
    CellLost,
    CellBoth,
    /// Text on the two pale cells, on either paper.
    OnPaleCell,
    /// Text on the two dark cells, on either paper.
    OnDarkCell,
    Fault(FaultKind),
}

/// Families of faults, as lanes and as colours: the same in every plot and on the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// A process dies: crash, power loss, wiped disk, restart.
    Crash,
    /// A process stands still or is slow.
    Pause,
    /// Cuts, delays, losses, resets between processes.
    Network,
    /// Slow, stalled, full or failing storage.
    Disk,
    /// A clock that is wrong.
    Clock,
    /// The cluster changes: elections, rebalances, retention, held metadata.
    Cluster,
    /// A store or a third party is out or slow.
    Downstream,
    /// Too much or bad input: spikes, poison, repeated delivery.
    Load,
}

impl FaultKind {
    pub const ALL: [FaultKind; 8] = [
        FaultKind::Crash,
        FaultKind::Pause,
        FaultKind::Network,
        FaultKind::Disk,
        FaultKind::Clock,
        FaultKind::Cluster,
        FaultKind::Downstream,
        FaultKind::Load,
    ];

    /// The label of its lane.
    pub fn word(self) -> &'static str {
        match self {
            FaultKind::Crash => "crash",
            FaultKind::Pause => "pause",
            FaultKind::Network => "network",
            FaultKind::Disk => "disk",
            FaultKind::Clock => "clock",
            FaultKind::Cluster => "cluster",
            FaultKind::Downstream => "downstream",
            FaultKind::Load => "load",
        }
    }
}

/// Token, name of its class in a picture, colour on light paper, colour on dark paper. Light colours differ all, because plotters
/// hands a colour to the backend and the backend must know the token again.
const COLOURS: [(Token, &str, u32, u32); 28] = [
    (Token::Paper, "paper", 0xFFFFFF, 0x0F1419),
    (Token::Ink, "ink", 0x1F2933, 0xE6EDF3),
    (Token::Muted, "muted", 0x5F6B7A, 0x9AA7B4),
    (Token::Grid, "grid", 0xE3E7EC, 0x2B333C),
    (Token::FaultBand, "fault-band", 0x9AA5B1, 0x7B8794),
    (Token::Category1, "category-1", 0x0072B2, 0x56B4E9),
    (Token::Category2, "category-2", 0xD55E00, 0xFF8A3D),
    (Token::Category3, "category-3", 0x008763, 0x2CC295),
    (Token::Category4, "category-4", 0xA6528A, 0xE29CC6),
    (Token::HeadroomNone, "headroom-none", 0xC2410C, 0xFF8A3D),
    (Token::HeadroomLow, "headroom-low", 0x4F98CB, 0x3D7FB5),
    (Token::HeadroomFair, "headroom-fair", 0x2A72AE, 0x5FA8DC),
    (Token::HeadroomGood, "headroom-good", 0x124C86, 0x9CCBEE),
    (Token::HeadroomAmple, "headroom-ample", 0x06264F, 0xDCEEFB),
    (Token::CellExact, "cell-exact", 0xD9EFE6, 0xD9EFE6),
    (Token::CellRepeated, "cell-repeated", 0xFBE7B8, 0xFBE7B8),
    (Token::CellLost, "cell-lost", 0xC04A00, 0xC04A00),
    (Token::CellBoth, "cell-both", 0x8C2D04, 0x8C2D04),
    (Token::OnPaleCell, "on-pale", 0x1F2934, 0x1F2934),
    (Token::OnDarkCell, "on-dark", 0xFFFFFE, 0xFFFFFE),
    (Token::Fault(FaultKind::Crash), "fault-crash", 0xB42318, 0xFF7B6E),
    (Token::Fault(FaultKind::Pause), "fault-pause", 0x7A5AB8, 0xB79CED),
    (Token::Fault(FaultKind::Network), "fault-network", 0xA86400, 0xF2B14A),
    (Token::Fault(FaultKind::Disk), "fault-disk", 0x5B6B2F, 0xB4C776),
    (Token::Fault(FaultKind::Clock), "fault-clock", 0x0E7490, 0x5CC8DE),
    (Token::Fault(FaultKind::Cluster), "fault-cluster", 0x475467, 0xA9B4C2),
    (Token::Fault(FaultKind::Downstream), "fault-downstream", 0xA6336F, 0xF08BBD),
    (Token::Fault(FaultKind::Load), "fault-load", 0x1D6F42, 0x66C999),
];

impl Token {
    /// The token with this light colour. The reverse of `colour`.
    pub fn of(rgb: (u8, u8, u8)) -> Token {
        let number = u32::from_be_bytes([0, rgb.0, rgb.1, rgb.2]);
        let found = COLOURS.iter().find(|(_, _, light, _)| *light == number);
        found.expect("only colours of the palette are drawn").0
    }

    /// The step of the ordered ramp for a headroom.
    pub fn of_headroom(headroom: f64) -> Token {
        match headroom {
            _ if headroom <= 1.0 => Token::HeadroomNone,
            _ if headroom < 1.35 => Token::HeadroomLow,
            _ if headroom < 1.75 => Token::HeadroomFair,
            _ if headroom < 2.5 => Token::HeadroomGood,
            _ => Token::HeadroomAmple,
        }
    }

    /// For plotters, opaque.
    pub fn colour(self) -> RGBColor {
        let [_, red, green, blue] = self.light().to_be_bytes();
        RGBColor(red, green, blue)
    }

    /// For plotters, with an opacity in percent.
    pub fn faint(self, percent: u8) -> RGBAColor {
        let RGBColor(red, green, blue) = self.colour();
        RGBAColor(red, green, blue, f64::from(percent) / 100.0)
    }

    pub fn class(self) -> &'static str {
        self.row().1
    }

    pub fn light(self) -> u32 {
        self.row().2
    }

    pub fn dark(self) -> u32 {
        self.row().3
    }

    fn row(self) -> &'static (Token, &'static str, u32, u32) {
        COLOURS.iter().find(|(token, ..)| *token == self).expect("every token has a row")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn light_colours_lead_back_to_their_token() {
        for (token, ..) in COLOURS {
            let RGBColor(red, green, blue) = token.colour();
            assert_eq!(Token::of((red, green, blue)), token);
        }
        for kind in FaultKind::ALL {
            assert!(!Token::Fault(kind).class().is_empty());
        }
    }

    #[test]
    fn marks_and_text_stand_out_on_both_papers() {
        for (token, class, light, dark) in COLOURS {
            let least = match token {
                Token::Ink | Token::Muted => 4.5,
                Token::Paper | Token::Grid | Token::FaultBand => continue,
                Token::CellExact | Token::CellRepeated | Token::CellLost | Token::CellBoth => continue,
                Token::OnPaleCell | Token::OnDarkCell => continue,
                _ => 3.0,
            };
            assert!(contrast(light, Token::Paper.light()) >= least, "{class} on light paper");
            assert!(contrast(dark, Token::Paper.dark()) >= least, "{class} on dark paper");
        }
        for cell in [Token::CellExact, Token::CellRepeated] {
            assert!(contrast(Token::OnPaleCell.light(), cell.light()) >= 4.5);
        }
        for cell in [Token::CellLost, Token::CellBoth] {
            assert!(contrast(Token::OnDarkCell.light(), cell.light()) >= 4.5);
        }
    }

    /// WCAG 2.1 contrast ratio.
    fn contrast(one: u32, other: u32) -> f64 {
        let luminance = |colour: u32| {
            let [_, red, green, blue] = colour.to_be_bytes();
            let linear = |part: u8| {
                let part = f64::from(part) / 255.0;
                if part <= 0.04045 { part / 12.92 } else { libm::pow((part + 0.055) / 1.055, 2.4) }
            };
            0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
        };
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }
}
