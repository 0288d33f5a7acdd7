//! Nouns shared by every room: identifiers, offsets, time, records, requests and responses, settings.
//!
//! This layer knows nobody. Everything in it is plain data; the only behaviour is arithmetic, printing,
//! parsing of units, and drawing from a named random stream.

pub mod few_map;
pub mod guard;
pub mod ids;
pub mod key_table;
pub mod metadata;
pub mod note;
pub mod partition_table;
pub mod random;
pub mod record;
pub mod request;
pub mod settings;
pub mod step;
pub mod storage;
pub mod time;
pub mod units;

pub use few_map::FewMap;
pub use guard::{Guard, Guards};
pub use ids::*;
pub use key_table::KeyTable;
pub use partition_table::PartitionTable;
pub use random::{Keyed, Random, Rng, Seed};
pub use record::{Group, Message, Record, RecordBatch, Records, little_endian};
pub use step::{
    Channel, Command, ConnectionId, Correlation, Effect, Input, Now, Outbox, Output, Redrive, ReplyTo, Step, TimerName,
    earlier,
};
pub use time::{Duration, Time};
pub use units::{ByteCount, Ratio, Spread};
