//! The charts of one run that is looked at, and of headroom: which of them have something to say, and the numbers in them.

use super::charts::cumulative::{CumulativeChart, Stage};
use super::charts::fault_band::FaultBand;
use super::charts::freshness::{FreshnessChart, FreshnessSeries};
use super::charts::in_sync::{InSyncChart, InSyncSpan, ReplicatedPartition};
use super::charts::incidents::{Incident, IncidentKind, IncidentRow, IncidentsChart};
use super::charts::latency::{LatencyChart, LatencyPoint};
use super::charts::ownership::{OwnedPartition, OwnershipChart};
use super::charts::partition_lag::{LaggingPartition, PartitionLagChart};
use super::charts::seeds::SeedsChart;
use super::charts::sizing::SizingChart;
use super::charts::waterfall::{NOTICED, WaterfallChart, WaterfallStep};
use super::figures::{CellReport, consuming, fault_bands, label, recovered, studied, subject};
use super::numbers::counted;
use crate::checks::timeline::{InSync, Span, Timeline};
use crate::checks::{CellExpectation, Evidence, EvidenceKind, RecoveryTime, RunOutcome, Subject};
use crate::history::export::Names;
use crate::scenario::plan::{Limit, Plan, ServiceMetric, Trigger};
use crate::types::*;

/// The run that is looked at over time.
pub struct Featured<'a> {
    /// With its seed.
    pub plan: &'a Plan,
    pub outcome: &'a RunOutcome,
    pub timeline: &'a Timeline,
}

impl Featured<'_> {
    fn names(&self) -> Names {
        Names::of(self.plan)
    }

    fn horizon(&self) -> f64 {
        self.plan.duration.as_seconds()
    }

    fn bands(&self) -> Vec<FaultBand> {
        fault_bands(self.plan, self.outcome)
    }

    /// `booking, 2 partitions, 1 consumer; crash, seed 3`.
    fn subject(&self) -> String {
        let run = match self.plan.cell.is_empty() {
            true => format!("seed {}", self.plan.seed.0),
            false => format!("{}, seed {}", self.plan.cell, self.plan.seed.0),
        };
        match self.timeline.service.and_then(|service| self.plan.services.get(usize::from(service.0))) {
            Some(service) => format!("{}; {run}", subject(self.plan, service)),
            None => run,
        }
    }
}

/// Shorter than this is the ordinary handing over.
const UNOWNED: f64 = 0.001;

pub fn ownership_chart(of: &Featured, footer: &str) -> Option<OwnershipChart> {
    let names = of.names();
    let row = |(partition, spans): &(TopicPartition, Vec<Span<NodeId>>)| OwnedPartition {
        partition: names.partition(*partition).to_string(),
        spans: spans
            .iter()
            .map(|span| (names.node(span.what).to_string(), span.from.as_seconds(), span.to.as_seconds()))
            .collect(),
    };
    let rows: Vec<OwnedPartition> = of.timeline.owners.iter().map(row).collect();
    // One owner from the begin to the end is no picture.
    let still = |row: &OwnedPartition| matches!(&row.spans[..], [(_, from, to)] if *from <= UNOWNED && of.horizon() - UNOWNED <= *to);
    if rows.iter().all(still) {
        return None;
    }
    let (faults, horizon) = (of.bands(), of.horizon());
    Some(OwnershipChart { subject: of.subject(), rows, faults, horizon, footer: footer.to_string() })
}

pub fn in_sync_chart(of: &Featured, footer: &str) -> Option<InSyncChart> {
    let names = of.names();
    let span = |span: &Span<InSync>| InSyncSpan {
        in_sync: span.what.in_sync,
        leader: span.what.leader.map_or(String::new(), |leader| names.node(leader).to_string()),
        from: span.from.as_seconds(),
        to: span.to.as_seconds(),
    };
    let row = |(partition, spans): &(TopicPartition, Vec<Span<InSync>>)| ReplicatedPartition {
        partition: names.partition(*partition).to_string(),
        replicas: spans.iter().map(|span| span.what.replicas).max().unwrap_or(0),
        least: usize::from(of.plan.topics[usize::from(partition.topic.0)].settings.min_insync_replicas),
        spans: spans.iter().map(span).collect(),
    };
    let rows: Vec<ReplicatedPartition> = of.timeline.replicas.iter().map(row).collect();
    if rows.iter().all(|row| row.spans.len() < 2) {
        return None;
    }
    let (faults, horizon) = (of.bands(), of.horizon());
    Some(InSyncChart { subject: of.subject(), rows, faults, horizon, footer: footer.to_string() })
}

/// Fewer events tell no percentile.
const EVENTS_TIMED: u64 = 100;

pub fn latency_chart(of: &Featured, footer: &str) -> Option<LatencyChart> {
    let service = of.timeline.service?;
    let step = of.timeline.step.as_seconds();
    let point = |(stretch, taken): (usize, &Option<crate::checks::timeline::Taken>)| {
        let taken = taken.as_ref()?;
        Some(LatencyPoint {
            at: (stretch as f64 + 0.5) * step,
            events: taken.events,
            p50: taken.p50.as_seconds(),
            p99: taken.p99.as_seconds(),
            max: taken.max.as_seconds(),
        })
    };
    let points: Vec<LatencyPoint> = of.timeline.taken.iter().enumerate().filter_map(point).collect();
    if points.iter().map(|point| point.events).sum::<u64>() < EVENTS_TIMED {
        return None;
    }
    Some(LatencyChart {
        subject: of.subject(),
        timed: format!("from arrival to done by {}", of.names().service(service)),
        points,
        faults: of.bands(),
        horizon: of.horizon(),
        footer: footer.to_string(),
    })
}

pub fn cumulative_chart(of: &Featured, footer: &str) -> Option<CumulativeChart> {
    let step = of.timeline.step.as_seconds();
    let stage = |name: &str, counts: &[u64]| Stage {
        name: name.to_string(),
        points: std::iter::once((0.0, 0.0))
            .chain(counts.iter().enumerate().map(|(stretch, count)| ((stretch + 1) as f64 * step, *count as f64)))
            .collect(),
    };
    let stages = &of.timeline.stages;
    let most = |counts: &[u64]| counts.last().copied().unwrap_or(0);
    of.timeline.service?;
    if most(&stages.processed) < EVENTS_TIMED {
        return None;
    }
    let named = [
        ("arrived", &stages.arrived),
        ("queued", &stages.queued),
        ("processed", &stages.processed),
        ("committed", &stages.committed),
    ];
    Some(CumulativeChart {
        subject: of.subject(),
        stages: named
            .into_iter()
            .filter(|(_, counts)| 0 < most(counts))
            .map(|(name, counts)| stage(name, counts))
            .collect(),
        faults: of.bands(),
        horizon: of.horizon(),
        footer: footer.to_string(),
    })
}

pub fn partition_lag_chart(of: &Featured, footer: &str) -> Option<PartitionLagChart> {
    const WAITING: u64 = 10;
    let names = of.names();
    let recovery = consuming(of.outcome, of.timeline.service?)?.recovery.partitions.clone();
    let row = |(partition, behind): &(TopicPartition, Vec<u64>)| LaggingPartition {
        partition: names.partition(*partition).to_string(),
        unprocessed: behind.clone(),
        recovered: recovery.iter().find(|(other, _)| other == partition).and_then(|(_, time)| match time {
            RecoveryTime::Recovered(length) => Some(length.as_seconds()),
            RecoveryTime::Censored(_) => None,
        }),
    };
    let rows: Vec<LaggingPartition> = of.timeline.behind.iter().map(row).collect();
    let most = rows.iter().flat_map(|row| &row.unprocessed).max().copied().unwrap_or(0);
    if rows.len() < 2 || most < WAITING {
        return None;
    }
    let (faults, horizon) = (of.bands(), of.horizon());
    Some(PartitionLagChart { subject: of.subject(), rows, faults, horizon, footer: footer.to_string() })
}

/// Bad events of the runs of one cell: the first one that has some. `plans`: of each of its runs.
pub fn incidents_chart(cell: &CellReport, plans: &[Plan], footer: &str) -> Option<IncidentsChart> {
    let mut rows = Vec::new();
    let mut unmarked = 0;
    for (run, plan) in cell.runs.iter().zip(plans) {
        let mut incidents: Vec<Incident> = Vec::new();
        let mut found: Vec<&Evidence> = run.places.iter().flat_map(|place| &place.evidence).collect();
        found.sort_by_key(|found| (found.kind, found.event));
        for found in found {
            let Some((kind, first)) = kind_of(found.kind).zip(found.sightings.first()) else { continue };
            // What is missing in a topic is missing behind it as well: an event is marked once.
            if incidents.iter().any(|known| known.kind == kind && known.event == found.event.to_string()) {
                continue;
            }
            incidents.push(Incident { at: first.time.as_seconds().max(0.0), kind, event: found.event.to_string() });
        }
        let counted: u64 = run
            .places
            .iter()
            .map(|place| place.lost + place.repeated_harmful + place.stale + place.reordered + place.pending)
            .max()
            .unwrap_or(0);
        unmarked += counted.saturating_sub(incidents.len() as u64);
        if !incidents.is_empty() {
            rows.push(IncidentRow { label: format!("seed {}", run.seed.0), faults: fault_bands(plan, run), incidents });
        }
    }
    if rows.is_empty() {
        return None;
    }
    let about = match cell.id {
        "" => cell.plan.about.clone(),
        id => id.to_string(),
    };
    Some(IncidentsChart {
        subject: about,
        rows,
        runs: cell.runs.len() as u64,
        unmarked,
        horizon: cell.plan.duration.as_seconds(),
        footer: footer.to_string(),
    })
}

fn kind_of(kind: EvidenceKind) -> Option<IncidentKind> {
    match kind {
        EvidenceKind::Lost => Some(IncidentKind::Lost),
        EvidenceKind::RepeatedHarmful => Some(IncidentKind::Repeated),
        EvidenceKind::Stale => Some(IncidentKind::Stale),
        EvidenceKind::Reordered => Some(IncidentKind::Reordered),
        EvidenceKind::Pending => Some(IncidentKind::Unsettled),
        EvidenceKind::Phantom | EvidenceKind::Parked | EvidenceKind::RepeatedHarmless => None,
    }
}

/// Age of the oldest unprocessed record in the first run of each cell.
pub fn freshness_chart(cells: &[CellReport], footer: &str) -> Option<FreshnessChart> {
    const OLD: f64 = 0.5;
    let first = cells.first()?;
    let (service, _) = studied(first)?;
    let mut series = Vec::new();
    for cell in cells {
        let metrics = consuming(cell.runs.first()?, service.id)?;
        let headroom = cell.plan.services[usize::from(service.id.0)].headroom_thousandths.map(|it| it as f64 / 1000.0);
        let (start, step) = (metrics.backlog.start.as_seconds(), metrics.backlog.step.as_seconds());
        let point = |(index, age): (usize, &Duration)| (start + (index + 1) as f64 * step, age.as_seconds());
        let horizon = first.plan.duration.as_seconds();
        let points = metrics.backlog.oldest_age.iter().enumerate().map(point);
        series.push(FreshnessSeries {
            label: label(cell),
            headroom,
            points: points.filter(|(time, _)| (0.0..=horizon).contains(time)).collect(),
            delayed: metrics.delayed,
        });
    }
    if series.windows(2).all(|pair| pair[0].headroom == pair[1].headroom) {
        series.iter_mut().for_each(|series| series.headroom = None);
    }
    if series.iter().flat_map(|series| &series.points).all(|(_, age)| *age < OLD) {
        return None;
    }
    Some(FreshnessChart {
        subject: subject(first.plan, service),
        series,
        objective: bound(first, service.id, ServiceMetric::AgeMax),
        faults: fault_bands(first.plan, first.runs.first()?),
        horizon: first.plan.duration.as_seconds(),
        footer: footer.to_string(),
    })
}

/// What the scenario allows at most of a metric.
fn bound(cell: &CellReport, service: ServiceId, metric: ServiceMetric) -> Option<f64> {
    use crate::checks::Demand;
    let judged = cell.verdict.expectations.iter().find(|one| one.subject == Subject::Service { service, metric })?;
    let Demand::Bounds(bounds) = &judged.demand else { return None };
    bounds.iter().find_map(|bound| match bound.limit {
        Limit::Below(most) | Limit::AtMost(most) => Some(most),
        _ => None,
    })
}

/// From the stated headroom to the effective one, in the cell where they differ most.
pub fn waterfall_chart(cells: &[CellReport], footer: &str) -> Option<WaterfallChart> {
    let charts = cells.iter().filter_map(|cell| waterfall_of(cell, footer));
    let left = |chart: &WaterfallChart| chart.steps.iter().map(|step| step.share).product::<f64>();
    charts.reduce(|most, next| if left(&next) < left(&most) - 1e-9 { next } else { most })
}

fn waterfall_of(cell: &CellReport, footer: &str) -> Option<WaterfallChart> {
    let (service, _) = studied(cell)?;
    let nominal = service.headroom_thousandths? as f64 / 1000.0;
    let Trigger::Consume(consume) = &service.trigger else { return None };
    let topics = consume.topics.iter().map(|topic| &cell.plan.topics[usize::from(topic.0)].settings);
    let partitions: u64 = topics.map(|settings| u64::from(settings.partitions)).sum();
    let consumers = service.instances.len() as u64;
    let measured: Vec<f64> =
        cell.runs.iter().filter_map(|run| consuming(run, service.id)?.effective_headroom).collect();
    let effective = measured.iter().sum::<f64>() / measured.len().max(1) as f64;
    if measured.is_empty() {
        return None;
    }
    let most_loaded = partitions.div_ceil(consumers.max(1)).max(1);
    let division = partitions as f64 / (consumers as f64 * most_loaded as f64);
    let over = format!("{} over {}", counted(partitions, "partition"), counted(consumers, "consumer"));
    // What is begun again takes the place of what is new.
    let flows: u64 = cell
        .runs
        .iter()
        .flat_map(|run| &run.services)
        .filter(|one| one.service == service.id)
        .map(|one| one.flows_done)
        .sum();
    let per_flow = |again: u64| if flows == 0 { 1.0 } else { flows as f64 / (flows + again) as f64 };
    let steps = [
        (over, division),
        ("load not evenly spread over partitions".to_string(), effective / (nominal * division)),
        ("retries in place".to_string(), per_flow(cell.verdict.counters.retries)),
        ("work done again after restarts and rebalances".to_string(), per_flow(cell.verdict.counters.redeliveries)),
    ];
    let steps: Vec<_> = steps.into_iter().filter(|(_, share)| NOTICED < (share - 1.0).abs()).collect();
    if steps.is_empty() {
        return None;
    }
    Some(WaterfallChart {
        subject: format!(
            "{}{}",
            subject(cell.plan, service),
            if cell.id.is_empty() { String::new() } else { format!(", {}", cell.id) }
        ),
        nominal,
        steps: steps.into_iter().map(|(name, share)| WaterfallStep { name, share }).collect(),
        footer: footer.to_string(),
    })
}

/// The cell whose recovery is worth a closer look: the advised headroom, else the first that always recovers, else the first.
fn recovering<'a, 'b>(cells: &'b [CellReport<'a>]) -> Option<(&'b CellReport<'a>, ServiceId)> {
    const ADVISED: u64 = 1_500;
    let with = |cell: &'b CellReport<'a>| Some((cell, studied(cell)?.0));
    let always = |(cell, service): &(&CellReport, &crate::scenario::plan::ServicePlan)| {
        cell.runs.iter().all(|run| consuming(run, service.id).and_then(recovered).is_some())
    };
    let known: Vec<_> = cells.iter().filter_map(with).filter(always).collect();
    let advised =
        known.iter().find(|(_, service)| service.headroom_thousandths.is_some_and(|headroom| ADVISED <= headroom));
    let chosen = advised.or(known.first()).copied().or_else(|| cells.iter().find_map(with))?;
    Some((chosen.0, chosen.1.id))
}

pub fn seeds_chart(cells: &[CellReport], footer: &str) -> Option<SeedsChart> {
    const RUNS: usize = 5;
    let (cell, service) = recovering(cells)?;
    let is_recovery =
        |one: &&CellExpectation| one.subject == (Subject::Service { service, metric: ServiceMetric::Recovery });
    let judged = cell.verdict.expectations.iter().find(is_recovery);
    let sample = |run: &&RunOutcome| {
        let after = consuming(run, service)?.recovery.after?;
        Some((
            run.seed.0,
            match after {
                RecoveryTime::Recovered(length) => Some(length.as_seconds()),
                RecoveryTime::Censored(_) => None,
            },
        ))
    };
    let samples: Vec<(u64, Option<f64>)> = cell.runs.iter().filter_map(sample).collect();
    // What is gone at once was never a backlog.
    if samples.len() < RUNS || samples.iter().all(|(_, time)| time.is_some_and(|time| time < 0.5)) {
        return None;
    }
    let name = subject(cell.plan, &cell.plan.services[usize::from(service.0)]);
    Some(SeedsChart {
        subject: if cell.id.is_empty() { name } else { format!("{name}, {}", cell.id) },
        samples,
        model: judged.and_then(|judged| judged.theory.zip(judged.theory_deviation)),
        footer: footer.to_string(),
    })
}

pub fn sizing_chart(cells: &[CellReport], footer: &str) -> Option<SizingChart> {
    let (cell, service) = recovering(cells)?;
    let asked = |cell: &&CellReport| {
        cell.verdict
            .expectations
            .iter()
            .any(|one| one.subject == Subject::Service { service, metric: ServiceMetric::Recovery })
    };
    cells.iter().find(asked)?;
    let span = cell.runs.first()?.faults.iter().filter(|span| span.healed.is_some()).max_by_key(|span| span.healed)?;
    let outage = span.healed?.since(span.fired).as_seconds();
    let stated = cells.iter().find_map(|cell| bound(cell, service, ServiceMetric::Recovery));
    if outage <= 0.0 {
        return None;
    }
    Some(SizingChart {
        subject: subject(cell.plan, &cell.plan.services[usize::from(service.0)]),
        outage,
        objective: stated.unwrap_or(outage),
        stated: stated.is_some(),
        footer: footer.to_string(),
    })
}
