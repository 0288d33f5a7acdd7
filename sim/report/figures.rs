//! From outcomes to charts: which charts a scenario gets, and the numbers in them. The first figure is the front page.

use crate::checks::{
    CellVerdict, ConsumingMetrics, Demand, FaultSpan, Measured, PlaceFates, RecoveryTime, RunOutcome, ServiceMetrics,
    Subject,
};
use crate::scenario::plan::{
    Expectation, FaultAction, FaultFamily, NodeKind, OrderExpectation, PlaceExpectation, Plan, ServiceMetric,
    ServicePlan, Target, Tolerance,
};
use crate::types::*;

use super::charts::Figure;
use super::charts::backlog::{BacklogChart, BacklogSeries};
use super::charts::fault_band::FaultBand;
use super::charts::outcomes::{Counts, OutcomeCell, OutcomeRow, OutcomesChart};
use super::charts::palette::FaultKind;
use super::charts::recovery::{RecoveryChart, RecoveryPoint};
use super::designs::{blast_chart, cascade_chart, cost_chart};
use super::numbers;
use super::run_figures::*;

/// One cell of a family with all its runs, in the order of the seeds.
pub struct CellReport<'a> {
    pub id: &'a str,
    /// (axis, value).
    pub axes: &'a [(String, String)],
    /// Of the first seed.
    pub plan: &'a Plan,
    pub runs: Vec<&'a RunOutcome>,
    pub verdict: &'a CellVerdict,
}

impl CellReport<'_> {
    /// Its id, or what a scenario without axes is called.
    pub fn name(&self) -> &str {
        if self.id.is_empty() { "this scenario" } else { self.id }
    }

    pub fn place(&self, place: PlaceId) -> &str {
        &self.plan.places[usize::from(place.0)].name
    }
}

/// What figures are made of.
pub struct Study<'a> {
    pub cells: &'a [CellReport<'a>],
    /// The run that is looked at over time, where one was.
    pub featured: Option<Featured<'a>>,
    /// A cell with bad events, and the plans of its runs.
    pub incidents: Option<(&'a CellReport<'a>, &'a [Plan])>,
    pub footer: &'a str,
}

/// The charts of a family, front page first.
pub fn figures(study: &Study) -> Vec<Figure> {
    let Study { cells, footer, .. } = *study;
    let featured = study.featured.as_ref();
    let recovery = recovery_chart(cells, footer).map(|chart| chart.draw());
    let backlog = backlog_chart(cells, footer).map(|chart| chart.draw());
    let outcomes = outcomes_chart(cells, footer).map(|chart| chart.draw());
    let guarantees = guarantees_chart(cells, footer).map(|chart| chart.draw());
    let incidents =
        study.incidents.and_then(|(cell, plans)| incidents_chart(cell, plans, footer)).map(|chart| chart.draw());
    let freshness = freshness_chart(cells, footer).map(|chart| chart.draw());
    let designs =
        [cascade_chart(cells, footer).map(|chart| chart.draw()), blast_chart(cells, footer).map(|chart| chart.draw())];
    // A scenario that asks about time shows time first; any other what became of the effects.
    let time = recovery.into_iter().chain(backlog).chain(freshness);
    // A long list of cells tells nothing that their matrix does not.
    const LIST: usize = 12;
    let outcomes = outcomes.filter(|_| guarantees.is_none() || cells.len() <= LIST);
    let fates = designs.into_iter().flatten().chain(guarantees).chain(outcomes).chain(incidents);
    let asked = cells.iter().any(asks_about_time);
    let mut figures: Vec<Figure> = match asked {
        true => {
            let headroom = waterfall_chart(cells, footer).map(|chart| chart.draw());
            let seeds = seeds_chart(cells, footer).map(|chart| chart.draw());
            let sizing = sizing_chart(cells, footer).map(|chart| chart.draw());
            time.chain(headroom).chain(seeds).chain(sizing).chain(fates).collect()
        }
        false => fates.chain(time).collect(),
    };
    figures.extend(featured.and_then(|of| ownership_chart(of, footer)).map(|chart| chart.draw()));
    figures.extend(featured.and_then(|of| in_sync_chart(of, footer)).map(|chart| chart.draw()));
    figures.extend(featured.and_then(|of| latency_chart(of, footer)).map(|chart| chart.draw()));
    figures.extend(featured.and_then(|of| partition_lag_chart(of, footer)).map(|chart| chart.draw()));
    figures.extend(featured.and_then(|of| cumulative_chart(of, footer)).map(|chart| chart.draw()));
    figures.extend(cost_chart(cells, footer).map(|chart| chart.draw()));
    let wanted = cells.first().and_then(|cell| cell.plan.chart.as_deref());
    if let Some(front) = figures.iter().position(|figure| Some(figure.stem) == wanted) {
        figures[..=front].rotate_right(1);
    }
    figures
}

fn asks_about_time(cell: &CellReport) -> bool {
    cell.plan.expectations.iter().any(|expectation| {
        let Expectation::Service { metric, .. } = expectation else { return false };
        matches!(metric, ServiceMetric::Recovery | ServiceMetric::LagMax | ServiceMetric::AgeMax)
    })
}

/// Recovery at each headroom, when the cells differ in it.
pub fn recovery_chart(cells: &[CellReport], footer: &str) -> Option<RecoveryChart> {
    let mut points = Vec::new();
    for cell in cells {
        let (service, _) = studied(cell)?;
        let headroom = service.headroom_thousandths? as f64 / 1000.0;
        let metrics: Vec<&ConsumingMetrics> = cell.runs.iter().filter_map(|run| consuming(run, service.id)).collect();
        points.push(RecoveryPoint {
            headroom,
            effective: metrics.first().and_then(|metrics| metrics.effective_headroom).unwrap_or(headroom),
            samples: metrics.iter().map(|metrics| recovered(metrics)).collect(),
            theory: theory(cell, service.id),
        });
    }
    points.sort_by(|one, other| one.headroom.total_cmp(&other.headroom));
    points.dedup_by(|one, other| one.headroom == other.headroom);
    if points.len() < 2 || points.iter().all(|point| point.samples.is_empty()) {
        return None;
    }
    let first = cells.first()?;
    let (service, _) = studied(first)?;
    let span = first.runs.first()?.faults.iter().filter(|span| span.healed.is_some()).max_by_key(|span| span.healed)?;
    let healed = span.healed?;
    Some(RecoveryChart {
        subject: subject(first.plan, service),
        outage: healed.since(span.fired),
        horizon: (Time::LOAD_START + first.plan.duration).since(healed),
        points,
        footer: footer.to_string(),
    })
}

/// Unprocessed records over time in the first run of each cell.
pub fn backlog_chart(cells: &[CellReport], footer: &str) -> Option<BacklogChart> {
    let first = cells.first()?;
    let (service, _) = studied(first)?;
    let mut series = Vec::new();
    for cell in cells {
        let run = cell.runs.first()?;
        let metrics = consuming(run, service.id)?;
        let healed = metrics.recovery.healed.map(Time::as_seconds);
        let headroom = cell.plan.services[service.id.0 as usize].headroom_thousandths.map(|it| it as f64 / 1000.0);
        let start = metrics.backlog.start.as_seconds();
        let step = metrics.backlog.step.as_seconds();
        let points = metrics
            .backlog
            .unprocessed
            .iter()
            .enumerate()
            .map(|(index, count)| (start + index as f64 * step, *count as f64));
        let horizon = first.plan.duration.as_seconds();
        series.push(BacklogSeries {
            label: label(cell),
            headroom,
            points: points.filter(|(time, _)| 0.0 <= *time && *time <= horizon).collect(),
            cleared_at: recovered(metrics).and_then(|after| Some(healed? + after)),
        });
    }
    // Cells that share their headroom differ in something else: that is what their lines are named after.
    if series.windows(2).all(|pair| pair[0].headroom == pair[1].headroom) {
        series.iter_mut().for_each(|series| series.headroom = None);
    }
    if series.iter().all(|series| series.points.iter().all(|(_, count)| *count < 2.0)) {
        return None;
    }
    Some(BacklogChart {
        subject: subject(first.plan, service),
        series,
        faults: fault_bands(first.plan, first.runs.first()?),
        horizon: first.plan.duration.as_seconds(),
        footer: footer.to_string(),
    })
}

/// What was lost and what was repeated at each judged place, cell by cell, summed over the seeds.
pub fn outcomes_chart(cells: &[CellReport], footer: &str) -> Option<OutcomesChart> {
    let places: Vec<PlaceId> = cells.first()?.runs.first()?.places.iter().map(|fates| fates.place).collect();
    if places.is_empty() {
        return None;
    }
    let rows = cells.iter().map(|cell| {
        let counted = places.iter().map(|place| OutcomeCell::Counted(counts(cell, *place)));
        OutcomeRow { label: label(cell), cells: counted.collect() }
    });
    let first = cells.first()?;
    Some(OutcomesChart {
        stem: "outcomes",
        subject: first.plan.about.clone(),
        columns_are: "where the effect lands".into(),
        rows_are: first.axes.iter().map(|(axis, _)| axis.as_str()).collect::<Vec<_>>().join(", "),
        unit: "effects".into(),
        columns: places.iter().map(|place| first.plan.places[place.0 as usize].name.clone()).collect(),
        rows: rows.collect(),
        footer: footer.to_string(),
    })
}

/// What became of the effects of a place, in all runs of a cell. Order, stale rows and phantoms count where the scenario cares.
fn counts(cell: &CellReport, place: PlaceId) -> Counts {
    let sum = |count: fn(&PlaceFates) -> u64| {
        let fates = cell.runs.iter().flat_map(|run| run.places.iter().filter(|fates| fates.place == place));
        fates.map(count).sum::<u64>()
    };
    let asks = |cares: fn(&PlaceExpectation) -> bool| {
        let cares = |one: &Expectation| matches!(one, Expectation::Place(one) if one.place == place && cares(one));
        cell.plan.expectations.iter().any(cares)
    };
    let where_asked = |cares: fn(&PlaceExpectation) -> bool, count| if asks(cares) { sum(count) } else { 0 };
    Counts {
        of: sum(|fates| fates.expected),
        lost: sum(|fates| fates.lost),
        repeated: sum(|fates| fates.repeated_harmful),
        reordered: where_asked(|one| one.order != OrderExpectation::Any, |fates| fates.reordered),
        stale: where_asked(|one| one.stale != Tolerance::Allowed, |fates| fates.stale),
        phantoms: where_asked(|one| one.phantoms != Tolerance::Allowed, |fates| fates.phantoms),
    }
}

/// With two axes, one against the other: the place where most is lost, or most repeated.
pub fn guarantees_chart(cells: &[CellReport], footer: &str) -> Option<OutcomesChart> {
    const COLUMNS: usize = 8;
    let first = cells.first()?;
    let [(rows_are, _), (columns_are, _)] = first.axes else { return None };
    let values = |axis: usize| {
        let mut values: Vec<&str> = Vec::new();
        for cell in cells {
            let value = cell.axes.get(axis)?.1.as_str();
            if !values.contains(&value) {
                values.push(value);
            }
        }
        Some(values)
    };
    let (rows, columns) = (values(0)?, values(1)?);
    if rows.len() < 2 || columns.len() < 2 || COLUMNS < columns.len() {
        return None;
    }
    let bad = |place: PlaceId| {
        let all: Vec<Counts> = cells.iter().map(|cell| counts(cell, place)).collect();
        let sum = |count: fn(&Counts) -> u64| all.iter().map(count).sum::<u64>();
        let others = sum(|counts| counts.reordered + counts.stale + counts.phantoms);
        (sum(|counts| counts.lost), sum(|counts| counts.repeated), others)
    };
    let places = first.runs.first()?.places.iter().map(|fates| fates.place);
    let place = places.reduce(|worst, next| if bad(worst) < bad(next) { next } else { worst })?;
    let counted = |row: &str, column: &str| {
        let cell = cells.iter().find(|cell| cell.axes[0].1 == row && cell.axes[1].1 == column);
        cell.map_or(OutcomeCell::NotRun, |cell| OutcomeCell::Counted(counts(cell, place)))
    };
    let row = |row: &&str| OutcomeRow {
        label: multiples(row),
        cells: columns.iter().map(|column| counted(row, column)).collect(),
    };
    Some(OutcomesChart {
        stem: "guarantees",
        subject: first.plan.about.clone(),
        rows_are: rows_are.clone(),
        columns_are: format!("{columns_are}, for {}", first.place(place)),
        unit: "effects".into(),
        columns: columns.iter().map(|column| multiples(column)).collect(),
        rows: rows.iter().map(row).collect(),
        footer: footer.to_string(),
    })
}

/// The consuming service that the scenario asks about: one with a judged recovery, else one with a headroom, else the first.
pub fn studied<'a>(cell: &CellReport<'a>) -> Option<(&'a ServicePlan, &'a ServiceMetrics)> {
    let run = *cell.runs.first()?;
    let judged = |metrics: &ServiceMetrics| {
        run.expectations.iter().any(|result| {
            matches!(result.subject, Subject::Service { service, metric: ServiceMetric::Recovery } if service == metrics.service)
        })
    };
    let plan_of = |metrics: &ServiceMetrics| &cell.plan.services[metrics.service.0 as usize];
    let consuming = || run.services.iter().filter(|metrics| metrics.consuming.is_some());
    let chosen = consuming()
        .find(|metrics| judged(metrics))
        .or_else(|| consuming().find(|metrics| plan_of(metrics).headroom_thousandths.is_some()))
        .or_else(|| consuming().next())?;
    Some((plan_of(chosen), chosen))
}

pub fn consuming(run: &RunOutcome, service: ServiceId) -> Option<&ConsumingMetrics> {
    run.services.iter().find(|metrics| metrics.service == service)?.consuming.as_ref()
}

pub fn recovered(metrics: &ConsumingMetrics) -> Option<f64> {
    match metrics.recovery.after? {
        RecoveryTime::Recovered(length) => Some(length.as_seconds()),
        RecoveryTime::Censored(_) => None,
    }
}

fn theory(cell: &CellReport, service: ServiceId) -> Option<f64> {
    let mut judged =
        cell.verdict.expectations.iter().filter(|expectation| matches!(expectation.demand, Demand::Bounds(_)));
    judged
        .find(|expectation| expectation.subject == (Subject::Service { service, metric: ServiceMetric::Recovery }))?
        .theory
}

/// What a measured value says to a person.
pub fn measured(value: &Measured) -> String {
    match value {
        Measured::Count { count, of } => format!("{} of {}", numbers::count(*count), numbers::count(*of)),
        Measured::Value(value) => format!("{value:.4}"),
        Measured::Censored(seconds) => format!("not within {}", numbers::seconds(*seconds)),
        Measured::Nothing => "nothing to measure".into(),
    }
}

pub fn subject(plan: &Plan, service: &ServicePlan) -> String {
    let crate::scenario::plan::Trigger::Consume(consume) = &service.trigger else { return service.name.clone() };
    let partitions = consume.topics.iter().map(|topic| u64::from(plan.partitions_ever(*topic))).sum();
    let instances = numbers::counted(service.instances.len() as u64, "consumer");
    format!("{}, {}, {instances}", service.name, numbers::counted(partitions, "partition"))
}

pub fn label(cell: &CellReport) -> String {
    match cell.axes {
        [] => "this scenario".into(),
        axes => axes.iter().map(|(_, value)| multiples(value)).collect::<Vec<_>>().join(", "),
    }
}

/// `1.5x` as `1.5×`; other values as they are.
fn multiples(value: &str) -> String {
    match value.strip_suffix('x').filter(|number| number.parse::<f64>().is_ok()) {
        Some(number) => format!("{number}×"),
        None => value.to_string(),
    }
}

pub fn fault_bands(plan: &Plan, run: &RunOutcome) -> Vec<FaultBand> {
    let band = |span: &FaultSpan| {
        let fault = &plan.faults[span.fault.0 as usize];
        FaultBand {
            name: fault.name.clone(),
            kind: fault_kind(plan, &fault.action),
            from: span.fired.as_seconds(),
            to: span.healed.unwrap_or(span.fired).as_seconds(),
        }
    };
    run.faults.iter().map(band).collect()
}

/// One colour code for faults in every chart.
pub fn fault_kind(plan: &Plan, action: &FaultAction) -> FaultKind {
    let hits_store = |target: &Target| match target {
        Target::Node(node) => {
            let is_others = |kind| matches!(kind, NodeKind::Store { .. } | NodeKind::Endpoint { .. });
            plan.nodes.iter().any(|other| other.id == *node && is_others(other.kind))
        }
        _ => false,
    };
    match action {
        FaultAction::Crash(target) | FaultAction::Pause(target) | FaultAction::Slow { target, .. }
            if hits_store(target) =>
        {
            FaultKind::Downstream
        }
        FaultAction::Crash(_) | FaultAction::LosePower(_) | FaultAction::Wipe(_) | FaultAction::Restart { .. } => {
            FaultKind::Crash
        }
        FaultAction::Pause(_) | FaultAction::Slow { .. } => FaultKind::Pause,
        FaultAction::StallDisk(_)
        | FaultAction::SlowDisk { .. }
        | FaultAction::FillDisk(_)
        | FaultAction::FailDisk(_)
        | FaultAction::Rot(_) => FaultKind::Disk,
        FaultAction::Cut(_)
        | FaultAction::Isolate(_)
        | FaultAction::Delay { .. }
        | FaultAction::Drop { .. }
        | FaultAction::Throttle { .. }
        | FaultAction::Reset(_)
        | FaultAction::ResetShare { .. } => FaultKind::Network,
        FaultAction::Skew { .. } | FaultAction::Jump { .. } => FaultKind::Clock,
        FaultAction::HoldMetadata(_)
        | FaultAction::ElectPreferred { .. }
        | FaultAction::Reassign { .. }
        | FaultAction::Rebalance(_)
        | FaultAction::ExpireOffsets(_)
        | FaultAction::EnforceRetention(_)
        | FaultAction::Compact(_)
        | FaultAction::DeleteRecords(_) => FaultKind::Cluster,
        FaultAction::Redeliver(_)
        | FaultAction::Redrive { .. }
        | FaultAction::Fail { .. }
        | FaultAction::Poison { .. }
        | FaultAction::Repair(_) => FaultKind::Load,
        FaultAction::Set(value) => match value.family() {
            FaultFamily::Store | FaultFamily::Endpoint => FaultKind::Downstream,
            FaultFamily::Network => FaultKind::Network,
            FaultFamily::Cluster => FaultKind::Cluster,
            _ => FaultKind::Load,
        },
    }
}
