//! What theory knows of the service that is sized: what arrives, how long an event takes, and what eats headroom.
//!
//! The one idea: everything is read off the declared plan, before anything runs, so that the simulation is a second witness. What the
//! plan does not declare (how long the queue takes to answer a `publish` or a `commit`) is named as left out, never guessed.
//!
//! Sources: Newell 1971 (recovery), Whitt 1983 (variation of joined arrivals), Allen 1990 (waits of general queues).

use libm::{pow, sqrt};

use crate::checks::{Arriving, arriving, moments_of};
use crate::scenario::plan::*;
use crate::theory::statistics::normal_maximum;
use crate::theory::{queues, recovery, sizing};
use crate::types::settings::GroupProtocol;
use crate::types::*;

/// Instances of the service, and partitions of each topic that it consumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    pub instances: u32,
    pub partitions: u32,
}

/// The service and its surroundings, in seconds and events per second.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    pub service: String,
    pub topics: Vec<String>,
    /// What the file has.
    pub stated: Point,
    /// Thousandths; with a stated headroom the time of `work` follows from the number of instances.
    pub headroom_thousandths: Option<u64>,
    pub rate: f64,
    /// Of arrivals, squared: 0 constant, 1 Poisson, b in batches of b.
    pub variation: f64,
    /// Of one attempt of one event.
    pub mean: f64,
    pub variance: f64,
    /// Flows begun for each event: failures that are retried in place.
    pub attempts: f64,
    /// Events at once in one instance.
    pub workers: f64,
    pub keys: Vec<(f64, Keys)>,
    pub session: f64,
    pub is_static: bool,
    /// Time that a group waits for more members when it is no longer known.
    pub first_join: f64,
    /// What theory does not know, in words.
    pub left_out: Vec<String>,
}

/// What eats the headroom that stands on paper; with a part switched off, theory speaks as if it were not there.
#[derive(Clone, Copy, Debug)]
pub struct Eaten {
    pub attempts: bool,
    pub keys: bool,
}

impl Eaten {
    pub const ALL: Eaten = Eaten { attempts: true, keys: true };
}

impl Site {
    /// Reads a plan. An error says what is missing in the file.
    pub fn of(plan: &Plan, service: &ServicePlan) -> Result<Site, String> {
        let name = &service.name;
        let Trigger::Consume(consume) = &service.trigger else {
            return Err(format!("`{name}` consumes no topic: only a consuming service has a backlog to recover from"));
        };
        let Some(Arriving { sources, .. }) = arriving(plan, service) else {
            return Err(format!("nobody says how many events reach `{name}` each second"));
        };
        let rate: f64 = sources.iter().map(|source| source.rate).sum();
        if sources.iter().any(|source| matches!(source.arrivals, Arrivals::Diurnal { .. })) {
            return Err(format!(
                "arrivals at `{name}` follow the hours: size it for the busiest one, with its `rate` and `arrivals = \"poisson\"`"
            ));
        }
        let variation = sources.iter().map(|source| {
            let of_one = match source.arrivals {
                Arrivals::Constant => 0.0,
                Arrivals::Poisson | Arrivals::Diurnal { .. } => 1.0,
                Arrivals::Burst(batch) => f64::from(batch),
            };
            source.rate / rate * of_one
        });
        let topics: Vec<&TopicPlan> =
            consume.topics.iter().filter_map(|id| plan.topics.iter().find(|topic| topic.id == *id)).collect();
        let partitions = topics.iter().map(|topic| u32::from(topic.settings.partitions)).max().unwrap_or(1);
        let mut site = Site {
            service: name.clone(),
            topics: topics.iter().map(|topic| topic.name.clone()).collect(),
            stated: Point { instances: service.instances.len() as u32, partitions },
            headroom_thousandths: service.headroom_thousandths,
            rate,
            variation: variation.sum(),
            mean: 0.0,
            variance: 0.0,
            attempts: 1.0,
            workers: f64::from(service.workers),
            keys: sources.iter().map(|source| (source.rate / rate, source.keys)).collect(),
            session: match consume.consumer.group_protocol {
                GroupProtocol::Classic => consume.consumer.session_timeout.as_seconds(),
                GroupProtocol::Consumer => plan.cluster.settings.group_consumer_session_timeout.as_seconds(),
            },
            is_static: consume.static_membership,
            first_join: match consume.consumer.group_protocol {
                GroupProtocol::Classic => plan.cluster.settings.group_initial_rebalance_delay.as_seconds(),
                GroupProtocol::Consumer => 0.0,
            },
            left_out: Vec::new(),
        };
        site.read_steps(plan, service);
        if site.mean <= 0.0 {
            return Err(format!("the steps of `{name}` take no declared time: nothing limits what it can do"));
        }
        Ok(site)
    }

    fn read_steps(&mut self, plan: &Plan, service: &ServicePlan) {
        let mut passes = 1.0;
        for step in &service.steps {
            let (spread, failing) = match &step.action {
                Action::Work { time, errors, .. } => (*time, errors.as_f64()),
                Action::Store { store, .. } => {
                    let store = &plan.stores[usize::from(*store)];
                    (store.latency, store.errors.as_f64())
                }
                Action::Call(CallPlan { to: Callee::Endpoint(endpoint), .. }) => {
                    let endpoint = &plan.endpoints[usize::from(*endpoint)];
                    (endpoint.latency, endpoint.errors.as_f64())
                }
                Action::Call(_) | Action::Publish { .. } | Action::SendOffsets { .. } | Action::EndTransaction => {
                    self.left_out.push(format!("how long `{}` takes", step.text));
                    continue;
                }
                Action::Commit { every, how: CommitHow::Sync } => {
                    if *every == CommitEvery::Record {
                        self.left_out.push(format!("how long `{}` takes, for every event", step.text));
                    }
                    continue;
                }
                Action::Commit { .. } | Action::StoreOffset | Action::Respond | Action::BeginTransaction => continue,
            };
            let mean = spread.mean().as_seconds();
            self.mean += mean;
            // The normal is cut at zero; of others the variance is exact.
            self.variance += match spread {
                Spread::Normal { deviation, .. } => deviation.as_seconds() * deviation.as_seconds(),
                _ => moments_of(&spread).map_or(0.0, |moments| moments.variance),
            };
            passes *= 1.0 - failing;
        }
        if let Trigger::Consume(consume) = &service.trigger {
            let most = consume.consumer.max_poll_records;
            self.left_out.push(format!("the batch of up to {most} records that a member finishes before it rejoins"));
        }
        let failing = 1.0 - passes;
        let blocks = matches!(service.ladder.last(), Some(Rung::Block { .. }));
        let retries = service.ladder.iter().find_map(|rung| match rung {
            Rung::Retry { times, .. } => Some(*times),
            _ => None,
        });
        self.attempts = match (blocks, retries) {
            _ if failing <= 0.0 => 1.0,
            _ if 1.0 <= failing => f64::INFINITY,
            (true, _) => 1.0 / (1.0 - failing),
            (false, Some(times)) => sizing::attempts_per_message(failing, times),
            (false, None) => 1.0,
        };
    }

    /// Events that one instance can do in a second.
    pub fn instance_rate(&self, eaten: Eaten) -> f64 {
        self.workers / (self.mean * if eaten.attempts { self.attempts } else { 1.0 })
    }

    /// Capacity of so many instances over what arrives, on paper.
    pub fn nominal_headroom(&self, instances: u32) -> f64 {
        self.instance_rate(Eaten { attempts: false, keys: false }) * f64::from(instances) / self.rate
    }

    /// Headroom of the busiest of so many instances that share the partitions.
    pub fn effective_headroom(&self, instances: u32, partitions: u32, eaten: Eaten) -> f64 {
        if instances == 0 {
            return 0.0;
        }
        self.instance_rate(eaten) / (self.rate * self.busiest_share(instances, partitions, eaten))
    }

    /// Share of all arrivals that the busiest instance has.
    pub fn busiest_share(&self, instances: u32, partitions: u32, eaten: Eaten) -> f64 {
        let all = partitions * self.topics.len() as u32;
        let even = f64::from(recovery::partitions_of_most_loaded(all, instances)) / f64::from(all);
        if !eaten.keys {
            return even;
        }
        let readers = instances.min(all);
        let of_keys = self.keys.iter().map(|(share, keys)| {
            share
                * match keys {
                    Keys::Unique => even,
                    // Equal keys are dealt to partitions by their hash; the most that one of several readers gets.
                    Keys::Uniform(count) if 1 < readers => {
                        even * (1.0 + normal_maximum(readers) * sqrt(f64::from(readers - 1) / *count as f64))
                    }
                    Keys::Uniform(_) => even,
                    // The reader of the top key has its share of everything else besides.
                    Keys::Zipf { thousandths, of } => {
                        let top = top_key_share(f64::from(*thousandths) / 1000.0, *of);
                        top + (1.0 - top) * even
                    }
                }
        });
        of_keys.sum::<f64>().min(1.0)
    }

    /// Share of the most asked-for key; 0 where all keys are alike.
    pub fn top_key(&self) -> f64 {
        let tops = self.keys.iter().map(|(share, keys)| match keys {
            Keys::Zipf { thousandths, of } => share * top_key_share(f64::from(*thousandths) / 1000.0, *of),
            Keys::Uniform(_) | Keys::Unique => 0.0,
        });
        tops.fold(0.0, f64::max)
    }

    /// From the end of an outage of so long until the partitions that nobody reads are dealt again.
    pub fn rejoin(&self, outage: f64, who: Away, losing: u32) -> f64 {
        let sessions_end = (self.session - outage).max(0.0);
        match who {
            Away::Downstream | Away::Paused if losing == 0 => 0.0,
            Away::Instances if losing == 0 && self.is_static => 0.0,
            // Members that are expected back hold the join until their sessions end; a group without any waits for more of them.
            Away::Instances if sessions_end == 0.0 && !self.is_static => self.first_join,
            Away::Instances | Away::Downstream | Away::Paused => sessions_end,
        }
    }

    /// Mean time from the end of the outage to no backlog, of the slowest instance. `None`: never.
    pub fn recovery(&self, instances: u32, partitions: u32, outage: f64, rejoin: f64) -> Option<f64> {
        let headroom = self.effective_headroom(instances, partitions, Eaten::ALL);
        // Work times are whole nanoseconds, so that a headroom of one comes back as a hair above it.
        if headroom < 1.0 + 1e-6 {
            return None;
        }
        let mean = recovery::recovery_time_with_pauses(outage, headroom, 1.0, rejoin)?;
        let busiest = self.rate * self.busiest_share(instances, partitions, Eaten::ALL);
        let one = self.mean * self.attempts / self.workers;
        let squared = self.variance / (self.workers * self.workers) + self.variation * one * one;
        let variance = recovery::recovery_variance(busiest, outage + rejoin, headroom, squared)?;
        let readers = instances.min(partitions * self.topics.len() as u32);
        Some(recovery::group_recovery_time(mean, sqrt(variance), readers))
    }

    /// Wait in steady state that 99 % do not exceed: Allen and Cunneen's mean, and an exponential tail. `None`: no steady state.
    pub fn wait_p99(&self, instances: u32, partitions: u32) -> Option<f64> {
        if instances == 0 {
            return None;
        }
        let rate = self.rate * self.busiest_share(instances, partitions, Eaten::ALL);
        let one = self.mean * self.attempts / self.workers;
        let service = self.variance / (self.mean * self.mean);
        queues::general_wait_quantile(rate, 1.0 / one, self.variation, service, 0.99)
    }
}

/// Who is away during the outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Away {
    /// The instances themselves: the group has to form anew.
    Instances,
    /// They stand still, and keep their partitions if their sessions last.
    Paused,
    /// What they need: they keep their partitions and wait.
    Downstream,
}

/// Zipf: share of the first of `count` keys, weights 1/rank^exponent.
fn top_key_share(exponent: f64, count: u64) -> f64 {
    /// Terms that are added up one by one; the rest is an integral.
    const EXACT: u64 = 100_000;
    let exact: f64 = (1..=count.min(EXACT)).map(|rank| pow(rank as f64, -exponent)).sum();
    let rest = match count > EXACT {
        false => 0.0,
        true if (exponent - 1.0).abs() < 1e-9 => libm::log(count as f64 / EXACT as f64),
        true => (pow(count as f64, 1.0 - exponent) - pow(EXACT as f64, 1.0 - exponent)) / (1.0 - exponent),
    };
    1.0 / (exact + rest)
}
