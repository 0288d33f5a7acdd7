//! Single changes that might make a "no" a "yes": keys of the file, steps moved or taken out, and the cures of `explain`.

use super::bench::Bench;
use super::points::{Finding, Point};
use super::reading::*;
use crate::explore::explain::cures;
use crate::scenario::plan::*;
use crate::types::request::{Present, Stands};

/// Words for each change, and the system that has it, the smallest first.
pub fn changes<'a>(point: Point, finding: &Finding, bench: &mut Bench<'a>) -> Vec<(String, Bench<'a>)> {
    let keys: Vec<Vec<String>> = match point {
        Point::ProducerSuccess
        | Point::IdempotentConsumers
        | Point::Deduplicated
        | Point::ThirdParties
        | Point::ResetPolicy
        | Point::Semantics => return of_harm(finding, bench),
        Point::ConsumerFailure => return optional_calls(bench),
        Point::DeadLetters => dead_letters(bench, finding),
        Point::OneDuty => one_duty(bench),
        Point::Traced => return rows_by_event(bench),
        Point::Headroom => headroom(bench),
        Point::OwnQueue => own_queue(bench),
        Point::PartitionCount => partitions(bench),
        Point::ManualCommits => manual_commits(bench),
        Point::DividesPartitions => dividing(bench),
        Point::Owners => vec![owners(bench)],
        Point::QueueBuys => unread(bench),
    };
    let texts = keys.into_iter().filter(|sets| !sets.is_empty());
    texts.filter_map(|sets| Some((sets.join("  "), bench.with(&sets)?))).collect()
}

/// What `explain` would try for the event that shows it best.
fn of_harm<'a>(finding: &Finding, bench: &mut Bench<'a>) -> Vec<(String, Bench<'a>)> {
    let Some(evidence) = finding.seen.iter().find_map(|seen| seen.evidence.as_ref()) else { return Vec::new() };
    let stated = bench.stated.clone();
    let as_plan =
        |cure: crate::explore::explain::Cure| (cure.change, Bench::new(cure.plan, bench.effort, None, bench.load));
    cures(&stated, evidence).into_iter().map(as_plan).collect()
}

/// Calls of other services whose failure is swallowed.
fn optional_calls<'a>(bench: &mut Bench<'a>) -> Vec<(String, Bench<'a>)> {
    let mut changes = Vec::new();
    for (index, service) in bench.stated.services.iter().enumerate() {
        for (number, step) in service.steps.iter().enumerate() {
            let Action::Call(call) = &step.action else { continue };
            if call.service().is_none() || call.optional {
                continue;
            }
            let mut plan = bench.stated.clone();
            if let Action::Call(call) = &mut plan.services[index].steps[number].action {
                call.optional = true;
            }
            let text = format!("{}: `{} optional`", service.name, step.text);
            changes.push((text, Bench::new(plan, bench.effort, None, bench.load)));
        }
    }
    changes
}

fn dead_letters(bench: &Bench, finding: &Finding) -> Vec<Vec<String>> {
    let named = |service: &&ServicePlan| finding.about.contains(&service.id);
    let letters = bench.plan.services.iter().flat_map(|service| &service.ladder).find_map(|rung| match rung {
        Rung::DeadLetter { topic, .. } => Some(*topic),
        _ => None,
    });
    // A topic that nobody reads and no step writes is one for letters, if there is one.
    let spare = bench.plan.own_topics().iter().find(|topic| is_spare(&bench.plan, topic.id)).map(|topic| topic.id);
    let topic = letters.or(spare).map(|id| bench.plan.topics[usize::from(id.0)].name.clone());
    let one = |service: &ServicePlan| {
        let name = &service.name;
        let (topic, mut sets) = match &topic {
            Some(topic) => (topic.clone(), Vec::new()),
            None => (format!("{name}-letters"), vec![format!("topic.{name}-letters.partitions=1")]),
        };
        sets.push(format!("service.{name}.on-failure=[\"retry 3\", \"dead-letter {topic}\"]"));
        sets
    };
    bench.plan.services.iter().filter(named).map(one).collect()
}

/// A consumer of its own for what goes to another system.
fn one_duty(bench: &Bench) -> Vec<Vec<String>> {
    let mut changes = Vec::new();
    for id in bench.consumers() {
        let service = bench.service(id);
        let Trigger::Consume(consume) = &service.trigger else { continue };
        let systems = systems_of(&bench.plan, service);
        for system in systems.iter().skip(1) {
            let own = |step: &&StepPlan| system_of(&bench.plan, step).as_ref() == Some(system);
            let moved: Vec<&StepPlan> = service.steps.iter().filter(own).collect();
            let stay: Vec<&StepPlan> = service.steps.iter().filter(|step| !own(step)).collect();
            let commits = service.steps.iter().filter(|step| matches!(step.action, Action::Commit { .. }));
            let moved: Vec<&StepPlan> = moved.into_iter().chain(commits).collect();
            let (Some(moved), Some(stay)) = (steps(&moved), steps(&stay)) else { continue };
            let topics: Vec<&str> =
                consume.topics.iter().map(|topic| bench.plan.topics[usize::from(topic.0)].name.as_str()).collect();
            let other = format!("{}-{}", service.name, system.0);
            let owner = owner(service);
            changes.push(vec![
                format!(
                    "service.{other}={{on = \"consume {}\", auto-offset-reset = \"{}\", steps = {moved}{owner}}}",
                    topics.join(","),
                    reset_word(consume.consumer.auto_offset_reset)
                ),
                format!("service.{}.steps={stay}", service.name),
            ]);
        }
    }
    changes
}

/// A sum, or a row of an entity, becomes a row of the event.
fn rows_by_event<'a>(bench: &mut Bench<'a>) -> Vec<(String, Bench<'a>)> {
    let mut changes = Vec::new();
    for (index, service) in bench.stated.services.iter().enumerate() {
        if !bench.consumers().contains(&service.id) || leaves_a_trace(service) {
            continue;
        }
        for (number, step) in service.steps.iter().enumerate() {
            let Action::Store { operations, .. } = &step.action else { continue };
            let [StoreStep::Add { table, .. } | StoreStep::Upsert { table, .. }] = operations[..] else { continue };
            let mut plan = bench.stated.clone();
            let row = StoreStep::InsertIfAbsent {
                table,
                row: RowBy::Event,
                present: Present::Continue,
                stands: Stands::ForGood,
            };
            if let Action::Store { operations, .. } = &mut plan.services[index].steps[number].action {
                *operations = vec![row];
            }
            let text = format!("{}: `{}` becomes `insert-if-absent {}`", service.name, step.text, bench.place(table));
            changes.push((text, Bench::new(plan, bench.effort, None, bench.load)));
        }
    }
    changes
}

fn headroom(bench: &Bench) -> Vec<Vec<String>> {
    let mut changes = Vec::new();
    for service in bench.plan.services.iter().filter(|service| matches!(service.trigger, Trigger::Consume(_))) {
        let (name, instances) = (&service.name, service.instances.len());
        match service.headroom_thousandths {
            Some(_) => {
                changes.extend(["1.5x", "1.75x", "2x"].map(|factor| vec![format!("service.{name}.headroom={factor}")]))
            }
            None => {
                changes.extend(
                    (instances + 1..=3 * instances + 1).map(|count| vec![format!("service.{name}.instances={count}")]),
                );
            }
        }
    }
    changes
}

fn partitions(bench: &Bench) -> Vec<Vec<String>> {
    let of_topic = |topic: &TopicPlan| {
        let (name, count) = (topic.name.clone(), topic.settings.partitions);
        (2..=6).map(move |factor| vec![format!("topic.{name}.partitions={}", count * factor)])
    };
    let consumed = |topic: &&TopicPlan| !readers(&bench.plan, topic.id).is_empty();
    bench.plan.own_topics().iter().filter(consumed).flat_map(of_topic).collect()
}

fn dividing(bench: &Bench) -> Vec<Vec<String>> {
    let mut changes = Vec::new();
    for service in bench.plan.services.iter() {
        let partitions = partitions_of(&bench.plan, service);
        let have = service.instances.len() as u32;
        if partitions == 0 || partitions.is_multiple_of(have) {
            continue;
        }
        let more = (have..=partitions).filter(|count| partitions.is_multiple_of(*count));
        let fewer = (1..have).rev().filter(|count| partitions.is_multiple_of(*count));
        changes
            .extend(more.chain(fewer).take(2).map(|count| vec![format!("service.{}.instances={count}", service.name)]));
    }
    changes
}

fn manual_commits(bench: &Bench) -> Vec<Vec<String>> {
    let auto = |service: &&ServicePlan| commits_by_itself(service);
    let one = |service: &ServicePlan| {
        let all: Vec<&StepPlan> = service.steps.iter().collect();
        let steps = steps(&all)?;
        let steps = format!("{}, \"commit\"]", steps.strip_suffix(']')?);
        let name = &service.name;
        Some(vec![format!("service.{name}.enable-auto-commit=false"), format!("service.{name}.steps={steps}")])
    };
    bench.plan.services.iter().filter(auto).filter_map(one).collect()
}

fn owners(bench: &Bench) -> Vec<String> {
    let nobody = without_owner(&bench.plan);
    nobody.into_iter().map(|(kind, name)| format!("{kind}.{name}.owner=team-of-{name}")).collect()
}

/// The publication that nobody reads, taken out.
fn unread(bench: &Bench) -> Vec<Vec<String>> {
    let mut changes = Vec::new();
    for service in &bench.plan.services {
        let unread = |step: &&StepPlan| is_unread(&bench.plan, step);
        if service.steps.iter().any(|step| unread(&step)) {
            let stay: Vec<&StepPlan> = service.steps.iter().filter(|step| !unread(step)).collect();
            changes.extend(steps(&stay).map(|steps| vec![format!("service.{}.steps={steps}", service.name)]));
        }
    }
    changes
}

/// A topic and a consumer of its own for the second origin.
fn own_queue(bench: &Bench) -> Vec<Vec<String>> {
    let mut changes = Vec::new();
    for topic in bench.plan.own_topics() {
        let origins = publishers(&bench.plan, topic.id);
        let [_, others @ ..] = &origins[..] else { continue };
        for origin in others {
            let origin = bench.service(*origin);
            let own = format!("{}-{}", topic.name, origin.name);
            let mut sets = vec![format!("topic.{own}={{partitions = {}}}", topic.settings.partitions)];
            let publishes = |step: &StepPlan| match step.action {
                Action::Publish { topic: to, .. } if to == topic.id => {
                    step.text.replacen(&format!("publish {}", topic.name), &format!("publish {own}"), 1)
                }
                _ => step.text.clone(),
            };
            let texts: Option<Vec<String>> = origin.steps.iter().map(|step| quoted(&publishes(step))).collect();
            let Some(texts) = texts else { continue };
            sets.push(format!("service.{}.steps=[{}]", origin.name, texts.join(", ")));
            for reader in readers(&bench.plan, topic.id) {
                let reader = bench.service(reader);
                let Trigger::Consume(consume) = &reader.trigger else { continue };
                let for_it = |step: &&StepPlan| step.of.is_none_or(|of| of == origin.id);
                let theirs: Vec<&StepPlan> = reader.steps.iter().filter(for_it).collect();
                let stay: Vec<&StepPlan> = reader.steps.iter().filter(|step| step.of != Some(origin.id)).collect();
                let (Some(theirs), Some(stay)) = (steps(&theirs), steps(&stay)) else { continue };
                sets.push(format!(
                    "service.{}-{}={{on = \"consume {own}\", auto-offset-reset = \"{}\", steps = {theirs}{}}}",
                    reader.name,
                    origin.name,
                    reset_word(consume.consumer.auto_offset_reset),
                    owner(reader)
                ));
                sets.push(format!("service.{}.steps={stay}", reader.name));
            }
            changes.push(sets);
        }
    }
    changes
}

fn owner(service: &ServicePlan) -> String {
    service.owner.as_ref().map_or(String::new(), |owner| format!(", owner = {owner:?}"))
}

/// Steps as a list of the language; `None` where one was not written as a sentence.
fn steps(steps: &[&StepPlan]) -> Option<String> {
    let texts: Option<Vec<String>> = steps.iter().map(|step| quoted(&step.text)).collect();
    Some(format!("[{}]", texts?.join(", ")))
}

fn quoted(text: &str) -> Option<String> {
    match text.strip_prefix("transaction ") {
        Some(inside) => {
            let inside: Vec<String> = inside.split(", ").map(|one| format!("\"{one}\"")).collect();
            Some(format!("{{transaction = [{}]}}", inside.join(", ")))
        }
        None => (!text.contains(['"', '{'])).then(|| format!("\"{text}\"")),
    }
}
