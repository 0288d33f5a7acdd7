//! Named random streams, and draws keyed by identity.
//!
//! Raw words come from ChaCha8 ("ChaCha, a variant of Salsa20", Bernstein 2008); every derived draw is ours and pinned
//! by golden vectors, because `rand` may change its derived draws in minor releases. A [`Rng`] is a sequence for one
//! concern. A [`Keyed`] answers by *identity*: the same link, kind and sequence give the same draw whatever happened
//! elsewhere, so that taking one fault out of a plan leaves everything it did not touch as it was.

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::units::Ratio;
use super::{Duration, Spread};

/// The whole input of a run beside its plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Seed(pub u64);

impl Seed {
    /// A sequence of draws for one concern, for example `"workload shop"`. Streams do not disturb each other.
    pub fn stream(self, name: &str) -> Rng {
        let mut generator = ChaCha8Rng::seed_from_u64(self.0);
        generator.set_stream(hash_text(name));
        Rng(generator)
    }

    /// Draws for one concern, each found by the identity of what it is drawn for.
    pub fn keyed(self, name: &str) -> Keyed {
        Keyed { key: self.stream(name).next_u64() }
    }
}

/// Draws every derived value from raw words. Two implementors: the sequence [`Rng`] and the keyed [`Draw`].
pub trait Random {
    fn next_u64(&mut self) -> u64;

    /// Uniform in `0..bound` by Lemire's multiplication with rejection ("Fast Random Integer Generation", 2019).
    fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "below() of nothing");
        let threshold = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(bound);
            if product as u64 >= threshold {
                return (product >> 64) as u64;
            }
        }
    }

    /// Uniform in (0, 1]: never zero, so that its logarithm is finite.
    fn unit(&mut self) -> f64 {
        ((self.next_u64() >> 11) + 1) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    fn chance(&mut self, ratio: Ratio) -> bool {
        if ratio == Ratio::ZERO {
            return false;
        }
        self.below(u64::from(Ratio::ONE.0)) < u64::from(ratio.0)
    }

    fn exponential(&mut self, mean: Duration) -> Duration {
        Duration((mean.0 as f64 * -libm::log(self.unit()) + 0.5) as u64)
    }

    /// Standard normal by Box and Muller (1958); one of the pair is thrown away to stay stateless.
    fn standard_normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(self.unit()));
        radius * libm::cos(std::f64::consts::TAU * self.unit())
    }

    fn draw(&mut self, spread: &Spread) -> Duration
    where
        Self: Sized,
    {
        match *spread {
            Spread::Constant(length) => length,
            Spread::Uniform { low, high } => Duration(low.0 + self.below(high.0 - low.0 + 1)),
            Spread::Normal { mean, deviation } => {
                let value = mean.0 as f64 + deviation.0 as f64 * self.standard_normal();
                Duration((value + 0.5).max(0.0) as u64)
            }
            Spread::Exponential { mean } => self.exponential(mean),
            Spread::LogNormal { median, p99 } => {
                // The 99th percentile of a standard normal is 2.3263478740408408.
                let sigma = libm::log(p99.0 as f64 / median.0 as f64) / 2.326_347_874_040_840_8;
                Duration((median.0 as f64 * libm::exp(sigma * self.standard_normal()) + 0.5) as u64)
            }
            Spread::TwoPoint { usual, ratio, rare } => {
                if self.chance(ratio) {
                    rare
                } else {
                    usual
                }
            }
        }
    }
}

/// A sequential stream. See [`Seed::stream`].
#[derive(Clone, Debug)]
pub struct Rng(ChaCha8Rng);

impl Random for Rng {
    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }
}

/// A keyed stream. See [`Seed::keyed`].
#[derive(Clone, Copy, Debug)]
pub struct Keyed {
    key: u64,
}

impl Keyed {
    /// The draws that belong to `identity`, whatever was drawn before.
    pub fn at(self, identity: u64) -> Draw {
        Draw { state: mix(self.key ^ mix(identity)) }
    }
}

/// Draws of one identity: SplitMix64 (Steele, Lea, Flood 2014) started at the mixed key.
#[derive(Clone, Copy, Debug)]
pub struct Draw {
    state: u64,
}

impl Random for Draw {
    fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.state)
    }
}

/// Finaliser of SplitMix64: a bijection whose every output bit depends on every input bit.
pub fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

/// Folds one more part into an identity.
pub fn combine(identity: u64, part: u64) -> u64 {
    mix(identity.rotate_left(23) ^ part.wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

/// FNV-1a, 64 bits: the name of a stream as a number, the same on every platform.
pub fn hash_text(text: &str) -> u64 {
    text.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Draws once per identity or once per step of the stream, whichever `next` does.
    fn mean_and_deviation(count: u64, mut next: impl FnMut(u64) -> f64) -> (f64, f64) {
        let values: Vec<f64> = (0..count).map(&mut next).collect();
        let mean = values.iter().sum::<f64>() / count as f64;
        let variance = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / count as f64;
        (mean, libm::sqrt(variance))
    }

    fn spread(text: &str) -> Spread {
        text.parse().unwrap()
    }

    /// A change of any of these changes every run: raise the version of the random streams with it.
    #[test]
    fn golden_vectors() {
        let mut rng = Seed(7).stream("test");
        let words: Vec<u64> = (0..3).map(|_| rng.next_u64()).collect();
        assert_eq!(words, [11_015_570_690_268_003_712, 5_118_868_831_224_699_403, 12_686_924_271_426_006_439]);
        let below: Vec<u64> = (0..6).map(|_| rng.below(1_000)).collect();
        assert_eq!(below, [659, 331, 674, 871, 679, 540]);
        let units: Vec<u64> = (0..2).map(|_| (rng.unit() * 1e15) as u64).collect();
        assert_eq!(units, [77_927_606_277_511, 170_693_658_491_739]);
        let chances: String = (0..16).map(|_| if rng.chance(Ratio(300_000_000)) { '1' } else { '0' }).collect();
        assert_eq!(chances, "0010100100111010");
        assert_eq!(format!("{:.12}", rng.standard_normal()), "0.044292258931");
        let spreads = ["5ms", "2ms..20ms", "5ms ±2ms", "exp 5ms", "lognormal 5ms p99 30ms", "5ms or 30% 500ms"];
        let draws: Vec<u64> = spreads.iter().map(|text| rng.draw(&spread(text)).0).collect();
        assert_eq!(draws, [5_000_000, 12_960_353, 977_333, 941_964, 1_154_943, 500_000_000]);
        let mut draw = Seed(7).keyed("link n1->n2").at(42);
        let words: Vec<u64> = (0..3).map(|_| draw.next_u64()).collect();
        assert_eq!(words, [13_720_882_295_717_289_556, 4_177_141_910_829_865_207, 12_530_897_545_511_215_558]);
        assert_eq!(hash_text(""), 0xCBF2_9CE4_8422_2325);
        assert_eq!(hash_text("foobar"), 0x8594_4171_F739_67E8);
        // The first two outputs of SplitMix64 seeded with 0.
        assert_eq!(mix(0x9E37_79B9_7F4A_7C15), 0xE220_A839_7B1D_CDAF);
        assert_eq!(mix(0x3C6E_F372_FE94_F82A), 0x6E78_9E6A_A1B9_65F4);
        assert_eq!(combine(1, 2), 0xD5C9_06F8_9E12_00B6);
    }

    #[test]
    fn raw_words_are_those_of_chacha8() {
        // The same word from rand_chacha 0.3, 0.9 and 0.10.
        let mut generator = ChaCha8Rng::seed_from_u64(7);
        assert_eq!(generator.next_u64(), 0x2865_5334_23D7_43BB);
    }

    #[test]
    fn streams_do_not_disturb_each_other() {
        let alone: Vec<u64> = {
            let mut rng = Seed(1).stream("workload");
            (0..4).map(|_| rng.next_u64()).collect()
        };
        let mut rng = Seed(1).stream("workload");
        let mut other = Seed(1).stream("faults");
        let beside: Vec<u64> = (0..4)
            .map(|_| {
                other.next_u64();
                rng.next_u64()
            })
            .collect();
        assert_eq!(alone, beside);
        assert_ne!(Seed(1).stream("workload").next_u64(), Seed(1).stream("faults").next_u64());
        assert_ne!(Seed(1).stream("workload").next_u64(), Seed(2).stream("workload").next_u64());
    }

    #[test]
    fn keyed_draws_depend_on_their_identity_only() {
        let keyed = Seed(1).keyed("link");
        let first = keyed.at(1).next_u64();
        let mut second = keyed.at(2);
        second.next_u64();
        assert_eq!(keyed.at(1).next_u64(), first);
        assert_ne!(keyed.at(2).next_u64(), first);
        assert_ne!(Seed(1).keyed("disk").at(1).next_u64(), first);
        // Neighbouring identities give independent draws.
        let (mean, deviation) = mean_and_deviation(100_000, |identity| keyed.at(identity).unit());
        assert!((mean - 0.5).abs() < 0.004 && (deviation - 0.288_675).abs() < 0.003, "{mean} {deviation}");
    }

    #[test]
    fn integers_are_uniform() {
        let mut rng = Seed(3).stream("test");
        let mut counts = [0u32; 7];
        for _ in 0..70_000 {
            counts[rng.below(7) as usize] += 1;
        }
        // Chi-squared with 6 degrees of freedom: 22.5 is passed once in a thousand.
        let chi_squared: f64 = counts.iter().map(|count| (f64::from(*count) - 1e4).powi(2) / 1e4).sum();
        assert!(chi_squared < 22.5, "{counts:?}");
        assert_eq!(rng.below(1), 0);
        assert!((0..1_000).all(|_| rng.below(u64::MAX) < u64::MAX));
    }

    #[test]
    fn chances_meet_their_ratio() {
        let mut rng = Seed(4).stream("test");
        assert!((0..1_000).all(|_| !rng.chance(Ratio::ZERO)));
        assert!((0..1_000).all(|_| rng.chance(Ratio::ONE)));
        let hits = (0..100_000).filter(|_| rng.chance(Ratio(10_000_000))).count();
        assert!((874..1_126).contains(&hits), "{hits} of 100000 at 1 %");
    }

    #[test]
    fn spreads_have_their_mean_and_deviation() {
        const COUNT: u64 = 100_000;
        let measure = |text: &str| {
            let (spread, mut rng) = (spread(text), Seed(5).stream(text));
            mean_and_deviation(COUNT, |_| rng.draw(&spread).0 as f64 / 1e6)
        };
        for (text, mean, deviation) in [
            ("5ms", 5.0, 0.0),
            ("2ms..20ms", 11.0, 5.196),
            ("50ms ±2ms", 50.0, 2.0),
            ("exp 5ms", 5.0, 5.0),
            // sigma = ln 6 / 2.3263 = 0.77022: mean = 5 exp(sigma² / 2), deviation = mean sqrt(exp(sigma²) - 1).
            ("lognormal 5ms p99 30ms", 6.727, 6.055),
            ("5ms or 20% 10ms", 6.0, 2.0),
        ] {
            let (measured, measured_deviation) = measure(text);
            let error = 4.5 * deviation / libm::sqrt(COUNT as f64) + 1e-9;
            assert!((measured - mean).abs() <= error + 0.001, "mean of {text}: {measured}");
            assert!((measured_deviation - deviation).abs() <= 0.05 * deviation, "{text}: {measured_deviation}");
        }
    }

    #[test]
    fn spreads_keep_their_ends() {
        let mut rng = Seed(6).stream("test");
        let (low, high) = (Duration(10), Duration(12));
        let mut seen = [false; 3];
        for _ in 0..1_000 {
            let drawn = rng.draw(&Spread::Uniform { low, high });
            seen[(drawn.0 - 10) as usize] = true;
        }
        assert_eq!(seen, [true; 3]);
        let cut = Spread::Normal { mean: Duration::ZERO, deviation: Duration(1_000) };
        let zeros = (0..1_000).filter(|_| rng.draw(&cut).is_zero()).count();
        assert!((430..570).contains(&zeros), "{zeros} of 1000 are cut at zero");
        // A lognormal's 99th percentile is what it is called by.
        let tail = spread("lognormal 5ms p99 30ms");
        let beyond = (0..100_000).filter(|_| rng.draw(&tail) > Duration::from_millis(30)).count();
        assert!((874..1_126).contains(&beyond), "{beyond} of 100000 beyond the p99");
        assert!((0..1_000).all(|_| (0.0..=1.0).contains(&rng.unit())));
    }
}
