//! Replays: started, described, listed, cancelled.

use cumulet_base::arn::Arn;
use cumulet_wire::call::{Answer, Call, seconds};
use cumulet_wire::error::ApiError;
use cumulet_wire::validate::Validation;
use serde_json::{Value, json};

use super::put;
use crate::model::{Archive, FORMAT, Place, Replay};
use crate::storage::{self, Kind};
use crate::{Events, errors, input, replay};

fn no_replay(name: &str) -> ApiError {
    errors::not_found(format!("Replay {name} does not exist."))
}

pub async fn start(events: &Events, call: &Call) -> Result<Answer, ApiError> {
    let (core, given) = (&events.core, &call.input);
    let name = input::name(given, "ReplayName", 64)?;
    let source = input::required(given, "EventSourceArn")?;
    input::bounded(given, &[("Description", 512)])?;
    let times = (input::time_ms(given, "EventStartTime"), input::time_ms(given, "EventEndTime"));
    Validation::new()
        .required("eventStartTime", times.0.as_ref())
        .required("eventEndTime", times.1.as_ref())
        .required("destination", given.get("Destination"))
        .finish("ValidationException")?;
    let (start_ms, end_ms) = (times.0.unwrap_or_default(), times.1.unwrap_or_default());
    if end_ms <= start_ms {
        return Err(errors::parameter("EventEndTime", "EventStartTime must be before EventEndTime."));
    }
    let place = input::here(call);
    let arn = source.parse::<Arn>().ok().filter(|arn| arn.account == place.account && arn.region == place.region);
    let archive_name = arn.as_ref().and_then(|arn| arn.resource.strip_prefix("archive/"));
    let archive_name =
        archive_name.ok_or_else(|| errors::parameter("EventSourceArn", "Must contain an archive ARN."))?;
    let found = core.storage.get::<Archive>(Kind::Archive, &place, &[archive_name]).await?;
    let (archive, _) = found.ok_or_else(|| errors::not_found(format!("Archive {archive_name} does not exist.")))?;
    let destination = given.get("Destination").cloned().unwrap_or_default();
    if destination["Arn"] != archive.source_arn {
        let reason = "Cross event bus replay is not permitted.";
        return Err(errors::parameter("Destination.Arn", reason));
    }
    let began_ms = core.now_ms();
    let made = Replay {
        v: FORMAT,
        archive: archive_name.to_owned(),
        archive_id: archive.id,
        source_arn: source.to_owned(),
        description: input::owned(given, "Description"),
        destination,
        bus: archive.bus,
        state: "STARTING".to_owned(),
        start_ms,
        end_ms,
        last_ms: None,
        began_ms,
        ended_ms: None,
    };
    let txn = storage::put(storage::begin(&place), Kind::Replay, &place, &[name], &made, None)?;
    let (txn, wake) = core.delivery.add(txn, &replay::first_step(&place, name, began_ms)?)?;
    if !core.storage.commit(txn).await? {
        return Err(errors::exists(format!("Replay {name} already exists.")));
    }
    wake.now();
    let arn = place.arn(&format!("replay/{name}"));
    Answer::json(json!({"ReplayArn": arn, "State": "STARTING", "ReplayStartTime": seconds(began_ms)}))
}

fn shown(name: &str, replay: &Replay) -> Value {
    let mut output = json!({
        "ReplayName": name,
        "EventSourceArn": replay.source_arn,
        "State": replay.state,
        "EventStartTime": seconds(replay.start_ms),
        "EventEndTime": seconds(replay.end_ms),
        "ReplayStartTime": seconds(replay.began_ms),
    });
    put(&mut output, "EventLastReplayedTime", replay.last_ms.map(seconds));
    put(&mut output, "ReplayEndTime", replay.ended_ms.map(seconds));
    output
}

pub async fn describe(events: &Events, call: &Call) -> Result<Answer, ApiError> {
    let name = input::required(&call.input, "ReplayName")?;
    let place = input::here(call);
    let found = events.core.storage.get::<Replay>(Kind::Replay, &place, &[name]).await?;
    let (replay, _) = found.ok_or_else(|| no_replay(name))?;
    let mut output = shown(name, &replay);
    output["ReplayArn"] = place.arn(&format!("replay/{name}")).into();
    output["Destination"] = replay.destination;
    put(&mut output, "Description", replay.description);
    Answer::json(output)
}

pub async fn list(events: &Events, call: &Call) -> Result<Answer, ApiError> {
    let (place, given) = (input::here(call), &call.input);
    let (limit, after) = input::page(given)?;
    let prefix = input::text(given, "NamePrefix").unwrap_or_default();
    let found = events.core.storage.list::<Replay>(Kind::Replay, &place, &[], prefix, after, limit + 1).await?;
    let (found, token) = input::cut(found, limit);
    let is_wanted = |replay: &Replay| {
        input::text(given, "State").is_none_or(|state| state == replay.state)
            && input::text(given, "EventSourceArn").is_none_or(|arn| arn == replay.source_arn)
    };
    let list: Vec<Value> =
        found.iter().filter(|(_, replay)| is_wanted(replay)).map(|(name, replay)| shown(name, replay)).collect();
    let mut output = json!({"Replays": list});
    put(&mut output, "NextToken", token);
    Answer::json(output)
}

pub async fn cancel(events: &Events, call: &Call) -> Result<Answer, ApiError> {
    let name = input::required(&call.input, "ReplayName")?;
    let place: Place = input::here(call);
    let change = |replay: &mut Replay| {
        if !matches!(replay.state.as_str(), "STARTING" | "RUNNING") {
            let text = format!("Replay {name} is not in a valid state for this operation.");
            return Err(errors::illegal_status(text));
        }
        replay.state = "CANCELLING".to_owned();
        Ok(())
    };
    let changed = events.core.storage.update::<Replay>(Kind::Replay, &place, &[name], change).await?;
    changed.ok_or_else(|| no_replay(name))?;
    Answer::json(json!({"ReplayArn": place.arn(&format!("replay/{name}")), "State": "CANCELLING"}))
}
