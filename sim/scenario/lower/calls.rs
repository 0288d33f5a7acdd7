//! `[endpoint.E]`, and the step `call`.

use crate::types::{Duration, PlaceId, Ratio, Spread};

use super::super::diagnostics::{Diagnostic, printable};
use super::super::fields::Fields;
use super::super::keys::ENDPOINT;
use super::super::plan::*;
use super::super::sentence::Phrase;
use super::super::tree::{Text, Value};
use super::super::values::{self, Kind, Scalar};
use super::{Builder, Thing};

/// How long a breaker stays open where nothing is said. Hystrix: circuitBreaker.sleepWindowInMilliseconds.
const BREAKER_RESET: Duration = Duration::from_secs(5);

impl Builder<'_> {
    /// Their places are given by [`Builder::number_places`].
    pub fn read_endpoints(&mut self, endpoints: &[Thing]) {
        for (number, endpoint) in endpoints.iter().enumerate() {
            let header = format!("[endpoint.{}]", endpoint.name);
            let fields = Fields::new(endpoint.table, header, endpoint.place, ENDPOINT.iter().copied(), self.problems);
            let node = self.add_node(endpoint.name.to_string(), NodeKind::Endpoint { endpoint: number as u16 });
            self.plan.endpoints.push(EndpointPlan {
                name: endpoint.name.to_string(),
                node,
                owner: fields.text("owner"),
                place: PlaceId(0),
                latency: fields.spread("latency", Spread::Constant(Duration::from_millis(20))),
                errors: fields.ratio("errors", Ratio::ZERO),
                lost_requests: fields.ratio("lost-requests", Ratio::ZERO),
                lost_answers: fields.ratio("lost-answers", Ratio::ZERO),
                idempotency_keys: self.read_keys_honoured(&fields),
                capacity: fields.scalar("capacity").map(|capacity| capacity.u16()),
            });
        }
    }

    fn read_keys_honoured(&self, fields: &Fields) -> KeysHonoured {
        let Some(item) = fields.item("idempotency-keys") else { return KeysHonoured::Never };
        let read = || match &item.value {
            Value::Boolean(true) => Some(KeysHonoured::Always),
            Value::Boolean(false) => Some(KeysHonoured::Never),
            Value::Text { text, .. } => match (text.trim(), values::parse(Kind::Period, text)) {
                ("true", _) => Some(KeysHonoured::Always),
                ("false", _) => Some(KeysHonoured::Never),
                (_, Ok(Scalar::Duration(length))) => Some(KeysHonoured::For(length)),
                (_, _) => None,
            },
            Value::Integer(_) | Value::Float(_) | Value::List(_) | Value::Table(_) | Value::Date => None,
        };
        read().unwrap_or_else(|| {
            let title = format!("`idempotency-keys` is `{}`", printable(&item.written()));
            self.problems.add(
                Diagnostic::error("S033", item.place, title)
                    .label("neither a truth nor a length of time")
                    .help("write true, false, or for how long a key is known again, as \"24h\""),
            );
            KeysHonoured::Never
        })
    }

    pub(super) fn read_call(&self, phrase: &Phrase) -> Option<Action> {
        let to = self.read_callee(phrase.value()?.text());
        let timeout = phrase.require("timeout", "2s", self.problems).map(|given| given.scalar.duration());
        let attempts = phrase.scalar("attempts").map_or(1, Scalar::u16);
        let breaker = phrase.scalar("breaker").map(|failures| BreakerPlan {
            failures: failures.u32(),
            reset: phrase.scalar("breaker-reset").map_or(BREAKER_RESET, Scalar::duration),
        });
        for (key, needed, is_missing) in
            [("backoff", "attempts 3", attempts == 1), ("breaker-reset", "breaker 5", breaker.is_none())]
        {
            if let Some(given) = phrase.get(key).filter(|_| is_missing) {
                let title = format!("`{key}` of this call never comes to it");
                self.problems.add(
                    Diagnostic::error("S044", given.place, title)
                        .label("has no meaning here")
                        .help(format!("add `{needed}`, or remove it")),
                );
            }
        }
        if let Some(given) = phrase.get("timeout").filter(|given| given.scalar.duration().is_zero()) {
            let title = "`timeout` of this call is zero";
            self.problems.add(Diagnostic::error("S032", given.place, title).label("no answer comes").help("as 2s"));
        }
        if let (Some(Callee::Service(_)), Some(given)) = (to, phrase.get("idempotency-key")) {
            let title = "a service of our own knows an event by its id";
            self.problems.add(
                Diagnostic::error("S044", given.place, title)
                    .label("means nothing to it")
                    .help("remove it; a row by event id, as \"insert-if-absent\", makes a repetition harmless there"),
            );
        }
        let idempotency_key = phrase.scalar("idempotency-key").map(|key| match key.text() {
            "attempt" => CallKey::Attempt,
            _ => CallKey::Id,
        });
        Some(Action::Call(CallPlan {
            to: to?,
            timeout: timeout?,
            attempts,
            backoff: phrase.scalar("backoff").map_or(Spread::ZERO, Scalar::spread),
            idempotency_key,
            breaker,
            optional: phrase.flag("optional"),
        }))
    }

    fn read_callee(&self, name: Text) -> Option<Callee> {
        if let Some(endpoint) = self.plan.endpoints.iter().position(|endpoint| endpoint.name == name.text) {
            return Some(Callee::Endpoint(endpoint as u16));
        }
        let is_called = |service: &&ServicePlan| matches!(service.trigger, Trigger::Called(_));
        let Some(service) = self.plan.services.iter().find(|service| service.name == name.text) else {
            let called = self.plan.services.iter().filter(is_called).map(|service| service.name.as_str());
            let known: Vec<&str> = self.endpoint_names().into_iter().chain(called).collect();
            self.report_unknown(name.text, name.place, "an endpoint or a called service", &known);
            return None;
        };
        if !is_called(&service) {
            let title = format!("nobody can call `{}`", name.text);
            self.problems.add(
                Diagnostic::error("S050", name.place, title)
                    .label("not a `called` service")
                    .help("write `on = \"called\"` there, or publish to a topic that it consumes"),
            );
            return None;
        }
        Some(Callee::Service(service.id))
    }
}
