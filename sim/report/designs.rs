//! Designs beside each other under one outage: the numbers of the charts that compare them.

use super::charts::blast::{BlastCell, BlastChart, BlastRow};
use super::charts::cascade::{CascadeChart, Failing, Waiting};
use super::charts::cost::{CostChart, CostRow};
use super::figures::{CellReport, fault_bands, fault_kind};
use crate::checks::{ConsumingMetrics, PlaceFates, RunOutcome, ServiceMetrics};
use crate::report::charts::palette::FaultKind;
use crate::scenario::plan::{Action, PlaceKind, Plan, ServicePlan};
use crate::types::*;

/// Cells that differ in how a send is acknowledged or how it is committed, and in what that costs.
pub fn cost_chart(cells: &[CellReport], footer: &str) -> Option<CostChart> {
    const ROWS: usize = 24;
    let first = cells.first()?;
    let is_asked = first.plan.chart.as_deref() == Some("cost");
    if cells.len() < 2 || !is_asked && cells.iter().all(|cell| choices(cell.plan) == choices(first.plan)) {
        return None;
    }
    let mean = |values: Vec<f64>| (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
    let of_cell = |cell: &CellReport| {
        let services = || cell.runs.iter().flat_map(|run| &run.services);
        let answered = services().map(|metrics| &metrics.callers.latency).filter(|latency| 0 < latency.count);
        let consuming = services().filter(|metrics| metrics.consuming.is_some());
        let fates = || cell.runs.iter().flat_map(|run| &run.places);
        CostRow {
            choice: choice(cell.axes),
            answer: mean(answered.map(|latency| latency.mean_seconds).collect()),
            throughput: mean(consuming.map(|metrics| metrics.throughput_per_second).collect()),
            of: fates().map(|fates| fates.expected).sum(),
            lost: fates().map(|fates| fates.lost).sum(),
            repeated: fates().map(|fates| fates.repeated_harmful).sum(),
        }
    };
    Some(CostChart {
        subject: first.plan.about.clone(),
        rows: cells.iter().take(ROWS).map(of_cell).collect(),
        left_out: cells.len().saturating_sub(ROWS) as u64,
        footer: footer.to_string(),
    })
}

/// `acks-all, commit each`: the axis is said where its value does not say it.
fn choice(axes: &[(String, String)]) -> String {
    let said = axes.iter().map(|(axis, value)| match value.starts_with(axis.as_str()) {
        true => value.clone(),
        false => format!("{axis} {value}"),
    });
    said.collect::<Vec<_>>().join(", ")
}

/// How each service acknowledges and commits: what a choice is between.
fn choices(plan: &Plan) -> Vec<String> {
    let of_service = |service: &ServicePlan| {
        let acks =
            service.producers.iter().map(|producer| format!("{:?} {}", producer.acks, producer.enable_idempotence));
        let commits = service.steps.iter().filter_map(|step| match step.action {
            Action::Commit { every, how } => Some(format!("{every:?} {how:?}")),
            _ => None,
        });
        acks.chain(commits).collect::<Vec<_>>().join(" ")
    };
    plan.services.iter().map(of_service).collect()
}

/// Two cells that differ in one axis only, under the same outage: in one requests fail, in the other messages wait.
pub fn cascade_chart(cells: &[CellReport], footer: &str) -> Option<CascadeChart> {
    const FAILING: f64 = 0.05;
    const WAITING: u64 = 20;
    let struck = |cell: &&CellReport| outage(cell).is_some() && !cell.axes.is_empty();
    let failing = cells.iter().filter(struck).filter_map(|cell| {
        let (service, metrics) = asked(cell)?;
        let failed = metrics.callers.arrived - metrics.callers.accepted;
        (FAILING * metrics.callers.arrived as f64 <= failed as f64).then_some((cell, service, metrics, failed))
    });
    let worst = failing.max_by_key(|(.., failed)| *failed)?;
    let (cell, service, metrics, failed) = worst;
    let differs =
        |other: &&CellReport| cell.axes.iter().zip(other.axes).filter(|(one, other)| one != other).count() == 1;
    let others = cells.iter().filter(struck).filter(differs).filter_map(|other| {
        let (_, asked) = asked(other)?;
        let (late, consuming) = latest(other)?;
        let keeps = asked.callers.arrived - asked.callers.accepted < failed / 10;
        (keeps && WAITING <= consuming.peak_backlog).then_some((other, asked, late, consuming))
    });
    let (other, asked, late, consuming) = others.max_by_key(|(.., consuming)| consuming.peak_backlog)?;
    let design = |of: &CellReport, beside: &CellReport| {
        let values = of.axes.iter().zip(beside.axes).filter(|(one, other)| one != other);
        values.map(|((_, value), _)| value.clone()).collect::<Vec<_>>().join(", ")
    };
    let answers = &metrics.callers.answers;
    // Callers that wait for the same timeout fail in waves: a few steps together show how many.
    const STEPS: usize = 4;
    let step = answers.step.as_seconds() * STEPS as f64;
    let per_second = |index: usize| {
        let failed: u64 = answers.failed.iter().skip(index * STEPS).take(STEPS).sum();
        ((index as f64 + 0.5) * step, failed as f64 / step)
    };
    let (start, width) = (consuming.backlog.start.as_seconds(), consuming.backlog.step.as_seconds());
    let horizon = cell.plan.duration.as_seconds();
    let waiting: Vec<(f64, f64)> = (consuming.backlog.unprocessed.iter().enumerate())
        .map(|(index, count)| (start + index as f64 * width, *count as f64))
        .filter(|(time, _)| (0.0..=horizon).contains(time))
        .collect();
    // What is on its ordinary way is no backlog.
    let ordinary = (consuming.peak_backlog as f64 / 50.0).max(2.0);
    let cleared_at = waiting.iter().rev().find(|(_, count)| ordinary < *count).map(|(time, _)| *time);
    Some(CascadeChart {
        subject: cell.plan.about.clone(),
        outage: outage(cell)?,
        fails: Failing {
            design: design(cell, other),
            service: service.name.clone(),
            points: (0..).map(per_second).take_while(|(time, _)| *time <= horizon).collect(),
            failed,
            of: metrics.callers.arrived,
        },
        waits: Waiting {
            design: design(other, cell),
            service: late.name.clone(),
            points: waiting,
            failed: asked.callers.arrived - asked.callers.accepted,
            cleared_at,
        },
        faults: fault_bands(cell.plan, cell.runs.first()?),
        horizon,
        footer: footer.to_string(),
    })
}

/// With two axes, a design and an outage of somebody else's system: what each outage does to each duty.
pub fn blast_chart(cells: &[CellReport], footer: &str) -> Option<BlastChart> {
    const DUTIES: usize = 3;
    let first = cells.first()?;
    let duties: Vec<PlaceId> = first.runs.first()?.places.iter().map(|fates| fates.place).collect();
    let duties: Vec<PlaceId> = duties.into_iter().filter(|place| is_duty(first.plan, *place)).collect();
    let compares = cells.iter().all(|cell| cell.axes.len() == 2 && outage(cell).is_some());
    if !compares || duties.len() < DUTIES || cells.len() < 2 {
        return None;
    }
    let delay = |cell: &CellReport, place: PlaceId| {
        let of = of_place(cell, place).map(|fates| fates.delay.p95.as_seconds());
        of.sum::<f64>() / cell.runs.len().max(1) as f64
    };
    let usual = |place: PlaceId| cells.iter().map(|cell| delay(cell, place)).fold(f64::INFINITY, f64::min);
    let row = |cell: &CellReport| BlastRow {
        design: cell.axes[0].1.clone(),
        outage: cell.axes[1].1.clone(),
        cells: duties
            .iter()
            .map(|place| BlastCell {
                of: of_place(cell, *place).map(|fates| fates.expected).sum(),
                lost: of_place(cell, *place).map(|fates| fates.lost).sum(),
                repeated: of_place(cell, *place).map(|fates| fates.repeated_harmful).sum(),
                delay: delay(cell, *place),
                usual: usual(*place),
            })
            .collect(),
    };
    Some(BlastChart {
        subject: first.plan.about.clone(),
        columns: duties.iter().map(|place| first.place(*place).to_string()).collect(),
        rows: cells.iter().map(row).collect(),
        footer: footer.to_string(),
    })
}

fn of_place<'a>(cell: &'a CellReport, place: PlaceId) -> impl Iterator<Item = &'a PlaceFates> {
    cell.runs.iter().flat_map(move |run| run.places.iter().filter(move |fates| fates.place == place))
}

/// A table or somebody else's system: what a duty is about.
fn is_duty(plan: &Plan, place: PlaceId) -> bool {
    match plan.places[usize::from(place.0)].kind {
        PlaceKind::Table { .. } | PlaceKind::Endpoint { .. } => true,
        PlaceKind::Topic { .. } => false,
    }
}

/// The one fault of a cell that strikes somebody else's system, in words.
fn outage(cell: &CellReport) -> Option<String> {
    let downstream = |kind: FaultKind| kind == FaultKind::Downstream;
    let fault = cell.plan.faults.iter().find(|fault| downstream(fault_kind(cell.plan, &fault.action)))?;
    Some(match cell.axes.iter().rev().find(|(_, value)| value.contains('-')) {
        Some((_, value)) => value.clone(),
        None => fault.name.clone(),
    })
}

/// The service that the outside world asks.
fn asked<'a>(cell: &CellReport<'a>) -> Option<(&'a ServicePlan, &'a ServiceMetrics)> {
    let run: &'a RunOutcome = cell.runs.first()?;
    let plan = cell.plan;
    let is_origin = |metrics: &&ServiceMetrics| {
        matches!(plan.services[usize::from(metrics.service.0)].trigger, crate::scenario::plan::Trigger::Requests(_))
    };
    let metrics = run.services.iter().find(is_origin)?;
    Some((&plan.services[usize::from(metrics.service.0)], metrics))
}

/// The service whose backlog is the greatest.
fn latest<'a>(cell: &CellReport<'a>) -> Option<(&'a ServicePlan, &'a ConsumingMetrics)> {
    let run: &'a RunOutcome = cell.runs.first()?;
    let consuming = run.services.iter().filter_map(|metrics| Some((metrics.service, metrics.consuming.as_ref()?)));
    let (service, metrics) = consuming.max_by_key(|(_, metrics)| metrics.peak_backlog)?;
    Some((&cell.plan.services[usize::from(service.0)], metrics))
}
