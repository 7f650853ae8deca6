//! TagResource, UntagResource, ListTagsForResource: of buses and rules.

use cumulet_base::arn::Arn;
use cumulet_base::limits;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::buses;
use crate::model::{DEFAULT, Place, Rule, Tags};
use crate::route::find_bus;
use crate::storage::Kind;
use crate::{Events, errors, input};

/// What an ARN names.
enum Named {
    Bus(Place, String),
    Rule(Place, String, String),
}

fn named(call: &Call) -> Result<Named, ApiError> {
    let text = input::required(&call.input, "ResourceARN")?;
    let unknown = || errors::not_found(format!("{text} does not exist."));
    let arn: Arn = text.parse().map_err(|_| errors::invalid(format!("{text} is not a valid ARN.")))?;
    let place = Place { account: arn.account.clone(), region: arn.region.clone() };
    match arn.resource.split_once('/') {
        Some(("event-bus", bus)) => Ok(Named::Bus(place, bus.to_owned())),
        Some(("rule", rest)) => {
            let (bus, rule) = rest.rsplit_once('/').unwrap_or((DEFAULT, rest));
            Ok(Named::Rule(place, bus.to_owned(), rule.to_owned()))
        }
        _ => Err(unknown()),
    }
}

async fn change(
    events: &Events,
    call: &Call,
    change: impl Fn(&mut Tags) -> Result<(), ApiError>,
) -> Result<Answer, ApiError> {
    match named(call)? {
        Named::Bus(place, bus) => {
            buses::change(events, &place, &bus, |bus| change(&mut bus.tags)).await?;
        }
        Named::Rule(place, bus, rule) => {
            let on = |rule: &mut Rule| change(&mut rule.tags);
            let done = events.core.storage.update(Kind::Rule, &place, &[&bus, &rule], on).await?;
            done.ok_or_else(|| errors::no_rule(&rule, &bus))?;
            events.core.routes.forget(&place, &bus);
        }
    }
    Ok(Answer::empty())
}

pub async fn tag(events: &Events, call: &Call) -> Result<Answer, ApiError> {
    let new = input::tags(&call.input)?;
    change(events, call, |tags| {
        tags.extend(new.clone());
        let fits = tags.len() <= limits::EVENTS_TAGS_MAX;
        if fits { Ok(()) } else { Err(errors::limit("A resource has at most 50 tags.")) }
    })
    .await
}

pub async fn untag(events: &Events, call: &Call) -> Result<Answer, ApiError> {
    let keys = input::texts(&call.input, "TagKeys");
    change(events, call, |tags| {
        tags.retain(|key, _| !keys.contains(key));
        Ok(())
    })
    .await
}

pub async fn list(events: &Events, call: &Call) -> Result<Answer, ApiError> {
    let storage = &events.core.storage;
    let tags = match named(call)? {
        Named::Bus(place, bus) => find_bus(storage, &place, &bus).await?.ok_or_else(|| errors::no_bus(&bus))?.tags,
        Named::Rule(place, bus, rule) => {
            let found = storage.get::<Rule>(Kind::Rule, &place, &[&bus, &rule]).await?;
            found.ok_or_else(|| errors::no_rule(&rule, &bus))?.0.tags
        }
    };
    let tags: Vec<Value> = tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
    Answer::json(json!({"Tags": tags}))
}
