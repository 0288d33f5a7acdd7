//! The backlog over time, one line per headroom (or per whatever is compared): does it go, and when. Faults lie behind the data.

use plotters::series::LineSeries;

use super::Figure;
use super::axis::{Axis, clipped};
use super::fault_band::{self, FaultBand};
use super::page::{DRAWN, EndLabel, HEIGHT, Lettering, MARGIN, Page, Plot, WIDTH, pen};
use super::palette::Token;
use super::sheet::{Align, Bounds, Dash};
use crate::report::numbers::{capitalised, count, counted, multiple, seconds};

/// Messages that wait, over time.
#[derive(Clone, Debug, PartialEq)]
pub struct BacklogChart {
    /// What was studied. May be empty.
    pub subject: String,
    pub series: Vec<BacklogSeries>,
    pub faults: Vec<FaultBand>,
    /// End of the run, in seconds after the load began.
    pub horizon: f64,
    /// Run, configuration digest, seeds, version.
    pub footer: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct BacklogSeries {
    /// Its name; may be empty when a headroom names it.
    pub label: String,
    /// Orders and colours the lines, when headroom is what is compared.
    pub headroom: Option<f64>,
    /// Seconds after the load began, and messages; in order of time.
    pub points: Vec<(f64, f64)>,
    /// When the backlog of the faults was gone.
    pub cleared_at: Option<f64>,
}

impl BacklogSeries {
    fn name(&self) -> String {
        match (self.label.is_empty(), self.headroom) {
            (false, _) => self.label.clone(),
            (true, Some(headroom)) => multiple(headroom),
            (true, None) => "backlog".to_string(),
        }
    }
}

/// Lines drawn; of more, those that take longest to clear. The table has all.
const MOST_LINES: usize = 12;

/// More points than pixels are not seen; spikes must be.
const MOST_POINTS: usize = 2_000;

impl BacklogChart {
    pub fn draw(&self) -> Figure {
        self.page().finish("backlog", title(self), description(self), table(self))
    }

    fn page(&self) -> Page {
        let page = Page::new(HEIGHT);
        let subject = if self.subject.is_empty() { String::new() } else { format!("{}. ", self.subject) };
        let left_out = match self.series.len() <= MOST_LINES {
            true => String::new(),
            false => format!(" in the {MOST_LINES} slowest of {}", count(self.series.len() as u64)),
        };
        let top =
            page.header(&title(self), &format!("{subject}Messages waiting{left_out}, over time after the load began"));
        let drawn = self.drawn();
        let points = || drawn.iter().flat_map(|series| series.points.iter());
        let highest = points().map(|point| point.1).filter(|value| value.is_finite()).fold(0.0, f64::max);
        let begin = points().map(|point| point.0).filter(|at| at.is_finite()).fold(0.0, f64::min);
        let (x, y) = (Axis::time(begin, self.horizon), Axis::counts(highest));
        let widest = y.ticks.iter().map(|tick| Lettering::NOTE.width(&tick.label)).fold(0.0, f64::max);
        let bounds = Bounds {
            left: MARGIN + (widest + 12.0).max(if self.faults.is_empty() { 0.0 } else { 72.0 }),
            top: top + 22.0 + fault_band::lanes_height(&self.faults),
            right: WIDTH - if drawn.iter().all(|series| series.cleared_at.is_some()) { 100.0 } else { 176.0 },
            bottom: HEIGHT - MARGIN - 66.0,
        };
        fault_band::draw(&page, &self.faults, &x, bounds);
        let lanes = fault_band::lanes_height(&self.faults);
        page.text((MARGIN, bounds.top - lanes - 16.0), "messages", Lettering::NOTE);
        page.axes(bounds, &x, "time after the load began", &y);
        let mut plot = page.plot(bounds, x.clone(), y.clone());
        let at = |time: f64, messages: f64| {
            let across = bounds.left + x.fraction(time).clamp(0.0, 1.0) * (bounds.right - bounds.left);
            (across, bounds.bottom - y.fraction(messages).clamp(0.0, 1.0) * (bounds.bottom - bounds.top))
        };
        let looks = self.looks();
        for (series, look) in drawn.iter().zip(&looks) {
            draw_line(&page, &mut plot, (&x, &y), series, *look);
        }
        let ends: Vec<EndLabel> =
            drawn.iter().zip(&looks).filter_map(|(series, look)| end_label(series, *look, &at)).collect();
        page.end_labels(&ends, bounds);
        self.clear_markers(&page, bounds, &looks, &at);
        page.footer(&self.footer);
        page
    }

    /// By headroom, then as given.
    fn ordered(&self) -> Vec<&BacklogSeries> {
        let mut ordered: Vec<&BacklogSeries> = self.series.iter().collect();
        let key = |series: &BacklogSeries| series.headroom.unwrap_or(f64::INFINITY);
        ordered.sort_by(|one, other| key(one).total_cmp(&key(other)));
        ordered
    }

    /// In that order, and no more than can be told apart.
    fn drawn(&self) -> Vec<&BacklogSeries> {
        let mut drawn = self.ordered();
        if MOST_LINES < drawn.len() {
            let cleared = |series: &BacklogSeries| series.cleared_at.unwrap_or(f64::INFINITY);
            let mut times: Vec<f64> = drawn.iter().map(|series| cleared(series)).collect();
            times.sort_by(|one, other| other.total_cmp(one));
            let least = times[MOST_LINES - 1];
            drawn.retain(|series| least <= cleared(series));
            drawn.truncate(MOST_LINES);
        }
        drawn
    }

    /// Colour and dash of each line in order; no two lines look alike as long as there are at most sixteen.
    fn looks(&self) -> Vec<(Token, Dash)> {
        let categories = [Token::Category1, Token::Category2, Token::Category3, Token::Category4];
        let mut looks: Vec<(Token, Dash)> = Vec::new();
        let mut unnamed = 0;
        for series in self.drawn() {
            let token = series.headroom.map_or(categories[unnamed % 4], Token::of_headroom);
            unnamed += usize::from(series.headroom.is_none());
            let same = looks.iter().filter(|(other, _)| *other == token).count();
            looks.push((token, [Dash::Solid, Dash::Dashed, Dash::Dotted, Dash::Mixed][same % 4]));
        }
        looks
    }

    /// A disc on the axis where a backlog is gone, and beside it its name and the time. Labels stand in rows, the latest lowest, so that
    /// the way from a label down to its disc crosses no other label.
    fn clear_markers(&self, page: &Page, bounds: Bounds, looks: &[(Token, Dash)], at: &dyn Fn(f64, f64) -> (f64, f64)) {
        let mut cleared: Vec<(f64, String, Token)> = self
            .drawn()
            .into_iter()
            .zip(looks)
            .filter_map(|(series, look)| series.cleared_at.map(|time| (time, series.name(), look.0)))
            .collect();
        cleared.sort_by(|one, other| other.0.total_cmp(&one.0));
        for (time, name, token) in cleared {
            let (x, axis) = at(time, 0.0);
            let lettering = Lettering::LABEL.token(token).halo();
            let when = format!("clear at {}", seconds(time));
            // A lone line needs no name.
            let text = match self.series.len() {
                1 => when,
                _ => format!("{} {when}", lettering.fitted(&name, 316.0 - lettering.width(&when))),
            };
            let (side, across) = match x + 8.0 + lettering.width(&text) * 1.06 <= WIDTH - MARGIN {
                true => (Align::Left, x + 7.0),
                false => (Align::Right, x - 7.0),
            };
            let rows = (0..((bounds.bottom - bounds.top) / 18.0) as u32).map(|row| axis - 16.0 - 18.0 * f64::from(row));
            for row in rows {
                if page.text_if_free((across, row), &text, lettering.align(side)) {
                    page.line(&[(x, axis), (x, row - 5.0)], token, 1.0, Dash::Solid);
                    break;
                }
            }
            page.disc((x, axis), 5.0, token);
        }
    }
}

fn draw_line(page: &Page, plot: &mut Plot, axes: (&Axis, &Axis), series: &BacklogSeries, (token, dash): (Token, Dash)) {
    page.set_dash(dash);
    // A line that has come to rest on the axis would hide those below it.
    let resting = axes.1.high / 100.0;
    let cleared = series.cleared_at.unwrap_or(f64::INFINITY);
    let seen = decimated(&series.points, MOST_POINTS).into_iter().map(|(time, messages)| {
        match time > cleared && messages < resting {
            true => (time, f64::NAN),
            false => (time, messages),
        }
    });
    for piece in clipped(&seen.collect::<Vec<_>>(), axes.0, axes.1) {
        plot.draw_series(LineSeries::new(piece, pen(token, 2.5))).expect(DRAWN);
    }
    page.set_dash(Dash::Solid);
}

/// A line that is not cleared is named at its end; a cleared one where it reaches the axis.
fn end_label(series: &BacklogSeries, look: (Token, Dash), at: &dyn Fn(f64, f64) -> (f64, f64)) -> Option<EndLabel> {
    let (time, messages) = series.points.iter().rev().find(|point| point.1.is_finite())?;
    let text = match series.headroom {
        Some(_) => format!("{} not clear: {} wait", series.name(), count(*messages as u64)),
        None => format!("{}: {}", series.name(), count(*messages as u64)),
    };
    series.cleared_at.is_none().then(|| EndLabel { at: at(*time, *messages), text, token: look.0 })
}

/// The lowest and the highest of each stretch of time, in the order they came: spikes survive.
pub fn decimated(points: &[(f64, f64)], most: usize) -> Vec<(f64, f64)> {
    if points.len() <= most {
        return points.to_vec();
    }
    let stretch = points.len().div_ceil((most - 2) / 2);
    let mut kept = vec![points[0]];
    for part in points[1..points.len() - 1].chunks(stretch) {
        let lowest = (0..part.len()).min_by(|one, other| part[*one].1.total_cmp(&part[*other].1)).expect("not empty");
        let highest = (0..part.len()).max_by(|one, other| part[*one].1.total_cmp(&part[*other].1)).expect("not empty");
        kept.push(part[lowest.min(highest)]);
        if lowest != highest {
            kept.push(part[lowest.max(highest)]);
        }
    }
    kept.push(points[points.len() - 1]);
    kept
}

/// The message: the advised headroom and the best one that does not suffice.
pub fn title(chart: &BacklogChart) -> String {
    let ordered = chart.ordered();
    let horizon = seconds(chart.horizon);
    let cleared: Vec<&BacklogSeries> = ordered.iter().copied().filter(|series| series.cleared_at.is_some()).collect();
    let advised = cleared.iter().find(|series| series.headroom.is_some_and(|headroom| headroom >= 1.5 - 1e-9));
    let best = advised.or(cleared.last());
    let worst = ordered.iter().rev().find(|series| series.cleared_at.is_none());
    let named = |series: &BacklogSeries| match (series.headroom, ordered.len()) {
        (Some(headroom), _) => format!("at {} ", multiple(headroom)),
        (None, 1) => String::new(),
        (None, _) => format!("with {} ", series.name()),
    };
    let sentence = match (best, worst) {
        // Without a fault there is nothing to clear.
        (None, Some(_)) if chart.faults.is_empty() => without_fault(chart, &named),
        (None, None) => "no backlog was measured".to_string(),
        (None, Some(_)) if ordered.len() > 1 => format!("no backlog clears in {horizon}"),
        (None, Some(series)) => format!("{}the backlog does not clear in {horizon}", named(series)),
        (Some(series), None) if leaves_none(chart, series) => {
            format!("{}the {} leaves no backlog", named(series), last_fault(chart))
        }
        (Some(series), None) => format!("{}the backlog clears {}", named(series), when(chart, series)),
        (Some(series), Some(other)) => format!(
            "{}the backlog clears {}; {}it does not clear in {horizon}",
            named(series),
            when(chart, series),
            named(other)
        ),
    };
    capitalised(&sentence)
}

/// Of the line that rises highest: how far, and what is left of it.
fn without_fault(chart: &BacklogChart, named: &dyn Fn(&BacklogSeries) -> String) -> String {
    let highest = |series: &BacklogSeries| series.points.iter().copied().max_by(|one, other| one.1.total_cmp(&other.1));
    let peaks = chart.series.iter().filter_map(|series| Some((series, highest(series)?, series.points.last()?.1)));
    match peaks.max_by(|one, other| one.1.1.total_cmp(&other.1.1)) {
        Some((series, (time, peak), last)) => {
            let (peak, last) = (counted(peak as u64, "message"), count(last as u64));
            format!("{}the backlog is {peak} at most, at {}, and {last} at the end", named(series), seconds(time))
        }
        None => "no backlog was measured".to_string(),
    }
}

/// "3 min after the fault"; a plain time when there was no fault, or one that outlasted the backlog.
fn when(chart: &BacklogChart, series: &BacklogSeries) -> String {
    let cleared = series.cleared_at.unwrap_or(0.0);
    match last_end(chart) {
        Some(end) if end <= cleared => format!("{} after the {}", seconds(cleared - end), last_fault(chart)),
        _ => format!("at {}", seconds(cleared)),
    }
}

/// The backlog is clear as soon as the last fault is over: nothing was left to clear. What waits for less than that is on its
/// ordinary way.
fn leaves_none(chart: &BacklogChart, series: &BacklogSeries) -> bool {
    const ORDINARY_WAY: f64 = 0.1;
    series.cleared_at.zip(last_end(chart)).is_some_and(|(cleared, end)| (0.0..ORDINARY_WAY).contains(&(cleared - end)))
}

fn last_end(chart: &BacklogChart) -> Option<f64> {
    chart.faults.iter().map(|fault| fault.to).reduce(f64::max)
}

fn last_fault(chart: &BacklogChart) -> &'static str {
    if chart.faults.len() > 1 { "last fault" } else { "fault" }
}

/// Each line as a sentence, and the faults.
pub fn description(chart: &BacklogChart) -> String {
    let mut sentences: Vec<String> = Vec::new();
    for series in chart.drawn() {
        let peak = series.points.iter().map(|point| point.1).filter(|value| value.is_finite()).fold(0.0, f64::max);
        let end = match series.cleared_at {
            Some(time) => format!("clear at {time:.1} s"),
            None => "not clear at the end".to_string(),
        };
        sentences.push(format!("{}: at most {} messages, {end}.", series.name(), count(peak as u64)));
    }
    sentences.push(fault_band::described(&chart.faults));
    sentences.join(" ")
}

fn table(chart: &BacklogChart) -> String {
    let header = ["series", "headroom", "seconds", "messages", "cleared_at_seconds"];
    let text = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    let rows = chart.series.iter().flat_map(|series| {
        series.points.iter().map(move |(time, messages)| {
            vec![series.name(), text(series.headroom), time.to_string(), messages.to_string(), text(series.cleared_at)]
        })
    });
    super::csv(&header, rows)
}
