//! The story of one event on the page: what `hikyaku explain` tells of it, without the changes that it tries.

use maud::{Markup, PreEscaped, html};

use crate::checks::Evidence;
use crate::checks::chronicle::Chronicle;
use crate::report::blame::{broken, owner, promise};
use crate::report::chronicle::{Words, abridged, diagram, is_gone, seconds};
use crate::scenario::plan::Plan;
use crate::scenario::printable;
use crate::types::EventId;

/// One event of one run, followed to its end.
pub struct Story {
    /// Of the run, with its seed.
    pub plan: Plan,
    pub chronicle: Chronicle,
    /// Bad fates of the event, the worst first.
    pub evidence: Vec<Evidence>,
    /// Tells more, and tries changes.
    pub command: String,
}

impl Story {
    /// Where and when: `e12, acks=1, seed 7`.
    pub fn place(&self) -> String {
        let cell = if self.plan.cell.is_empty() { String::new() } else { format!(", {}", self.plan.cell) };
        format!("{}{cell}, seed {}", self.chronicle.event, self.plan.seed.0)
    }

    pub fn title(&self) -> String {
        match self.evidence.first() {
            Some(found) => found.message.clone(),
            None => format!("{} has no bad fate", self.chronicle.event),
        }
    }
}

/// What `#` leads to: the event, with a number behind it when an earlier story is about an event of the same name.
pub fn anchors(stories: &[Story]) -> Vec<String> {
    anchors_of(stories.iter().map(|story| story.chronicle.event))
}

pub fn anchors_of(events: impl Iterator<Item = EventId>) -> Vec<String> {
    let mut seen: Vec<EventId> = Vec::new();
    let anchor = |event: EventId| {
        seen.push(event);
        match seen.iter().filter(|other| **other == event).count() {
            1 => event.to_string(),
            number => format!("{event}-{number}"),
        }
    };
    events.map(anchor).collect()
}

/// `with_diagram`: with the message-sequence diagram, which weighs as much as the rest.
pub fn story(story: &Story, anchor: &str, with_diagram: bool) -> Markup {
    let Story { plan, chronicle, evidence, command } = story;
    let words = Words::new(plan);
    let (shown, left_out) = abridged(&chronicle.lines);
    let consumers: Vec<String> = chronicle.consumers.iter().map(|consumer| words.consumer(consumer)).collect();
    html! {
        details.story id=(anchor) {
            summary { span.tag { (story.place()) } " " (printable(&story.title())) }
            @for other in evidence.iter().skip(1) { p { (printable(&other.message)) } }
            dl {
                dt { "In the queue?" }
                @for answer in words.in_the_queue(chronicle) { dd { (printable(&answer)) } }
                @if !consumers.is_empty() { dt { "Consumer running?" } }
                @for answer in consumers { dd { (printable(&answer)) } }
                @if let Some(found) = evidence.first() {
                    @if let Some(blame) = &found.blame {
                        dt { "Promise" } dd { (promise(blame.boundary)) }
                        dt { "Broken" } dd { (printable(&broken(plan, blame))) }
                        dt { "Owner" } dd { (printable(&owner(plan, blame))) }
                    }
                }
            }
            @if with_diagram {
                @let title = printable(&story.title());
                @let figure = diagram(chronicle, plan, title, printable(&story.place()), String::new()).draw();
                div.chart tabindex="0" role="group" aria-label="message-sequence diagram" { (PreEscaped(figure.svg)) }
            }
            div.scroll tabindex="0" role="group" aria-label={ "the story of " (chronicle.event) } {
                table.lines {
                    thead { tr { th scope="col" { "time" } th scope="col" { "where" } th scope="col" { "what" } } }
                    tbody {
                        @for (number, line) in shown.into_iter().enumerate() {
                            @if let Some((before, count)) = left_out {
                                @if before == number {
                                    tr { td colspan="3" { "… " (count) " lines left out; the command below writes all of them" } }
                                }
                            }
                            @let struck = line.what.struck() || is_gone(&line.what);
                            tr.struck[struck] {
                                td.number { (seconds(line.time)) }
                                td { (printable(&words.names().node(line.node))) }
                                td { (printable(&words.sentence(line))) }
                            }
                        }
                    }
                }
            }
            p { "All of it, and which change would have kept the promise:" }
            pre.command { code { (command) } }
        }
    }
}
