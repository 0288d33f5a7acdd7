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
