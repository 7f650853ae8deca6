//! PutEvents: each entry is taken or refused by itself. What is taken is durable, with everything that follows from it,
//! before the answer.

use std::sync::Arc;

use cumulet_base::{id, limits};
use cumulet_wire::auth::Principal;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::validate::Validation;
use serde_json::{Map, Value, json};

use crate::core::Intake;
use crate::envelope::{Event, Parts};
use crate::model::Place;
use crate::route::Route;
use crate::{Events, errors, input};

/// Why an entry is not taken.
type Refused = (&'static str, String);

fn missing(member: &str) -> Refused {
    ("InvalidArgument", format!("Parameter {member} is not valid. Reason: {member} is a required argument."))
}

pub async fn run(events: &Events, call: &Call) -> Result<Answer, ApiError> {
    let core = &events.core;
    if call.input.contains_key("EndpointId") {
        return Err(errors::not_built("global endpoints"));
    }
    let list = entries(call)?;
    let bytes: usize = list.iter().map(size).sum();
    if bytes > limits::EVENTS_ENTRY_BYTES_MAX {
        return Err(errors::invalid(format!(
            "Total size of the entries in the request is over the limit of {} bytes.",
            limits::EVENTS_ENTRY_BYTES_MAX
        )));
    }
    let mut answers = Vec::new();
    let mut failed = 0;
    // Entries for one place are one commit, as far as they are not large.
    let mut intakes: Vec<(Place, Intake<'_>)> = Vec::new();
    for entry in list {
        match prepare(events, call, entry).await? {
            Ok(Some((place, bus, route, event))) => {
                answers.push(json!({"EventId": event.id}));
                let at = intakes.iter().position(|(known, _)| *known == place).unwrap_or_else(|| {
                    intakes.push((place.clone(), core.intake(&place)));
                    intakes.len() - 1
                });
                intakes[at].1.take(&bus, &route, &event).await?;
            }
            // AWS says of a bus that is not there that all went well.
            Ok(None) => answers.push(json!({"EventId": id::uuid()})),
            Err((code, message)) => {
                failed += 1;
                answers.push(json!({"ErrorCode": code, "ErrorMessage": message}));
            }
        }
    }
    for (_, intake) in intakes {
        intake.finish().await?;
    }
    Answer::json(json!({"FailedEntryCount": failed, "Entries": answers}))
}

fn entries(call: &Call) -> Result<&[Value], ApiError> {
    let list = call.input.get("Entries").and_then(Value::as_array);
    Validation::new().required("entries", list).finish("ValidationException")?;
    let list: &[Value] = list.map_or(&[], Vec::as_slice);
    if list.is_empty() || list.len() > limits::EVENTS_ENTRIES_MAX {
        let (relation, bound) = if list.is_empty() { ("greater", 1) } else { ("less", limits::EVENTS_ENTRIES_MAX) };
        return Err(errors::invalid(format!(
            "1 validation error detected: Value '{}' at 'entries' failed to satisfy constraint: Member must have length \
             {relation} than or equal to {bound}",
            json!(list.iter().map(|_| "PutEventsRequestEntry").collect::<Vec<_>>())
        )));
    }
    Ok(list)
}

/// As AWS counts (<https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html>).
fn size(entry: &Value) -> usize {
    let text = |member: &str| entry[member].as_str().map_or(0, str::len);
    let resources = entry["Resources"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::len);
    let time = if entry["Time"].is_null() { 0 } else { 14 };
    time + text("Source") + text("DetailType") + text("Detail") + resources.sum::<usize>()
}

type Prepared = Option<(Place, String, Arc<Route>, Event)>;

async fn prepare(events: &Events, call: &Call, entry: &Value) -> Result<Result<Prepared, Refused>, ApiError> {
    let core = &events.core;
    let empty = Map::new();
    let given = entry.as_object().unwrap_or(&empty);
    let (place, bus) = input::bus_of(&input::here(call), input::text(given, "EventBusName"))?;
    let forwarded = input::text(given, "Forward").and_then(|word| core.borrow(word));
    let event = match forwarded {
        Some(event) => Ok(event),
        None => read(call, &place, given, core.now_ms()),
    };
    let event = match event {
        Ok(event) => event,
        Err(refused) => return Ok(Err(refused)),
    };
    let route = core.route(&place, &bus).await?;
    Ok(Ok(route.map(|route| (place, bus, route, event))))
}

fn read(call: &Call, place: &Place, given: &Map<String, Value>, now_ms: u64) -> Result<Event, Refused> {
    let text = |member: &str| input::text(given, member).filter(|text| !text.is_empty()).ok_or_else(|| missing(member));
    let source = text("Source")?;
    let detail_type = text("DetailType")?;
    let detail = text("Detail")?;
    let is_service = matches!(call.context.caller.kind, Principal::Service { .. });
    if source.starts_with("aws.") && !is_service {
        return Err(("NotAuthorizedForSource", "Not authorized for the source.".to_owned()));
    }
    let resources = input::texts(given, "Resources");
    let parts = Parts {
        detail_type,
        source,
        time_ms: input::time_ms(given, "Time").unwrap_or(now_ms),
        resources: &resources,
        detail,
    };
    let of = Place { account: call.context.account().to_owned(), region: place.region.clone() };
    let malformed = || ("MalformedDetail", "Detail is malformed.".to_owned());
    Event::new(&of, &parts, id::uuid(), now_ms).ok_or_else(malformed)
}
