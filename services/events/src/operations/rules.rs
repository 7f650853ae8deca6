//! Rules: put, described, listed, enabled, disabled, deleted; and TestEventPattern.

use cumulet_base::{id, limits};
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::event_pattern::Pattern;
use cumulet_wire::schedule::{self, Schedule};
use cumulet_wire::validate::Validation;
use serde_json::{Value, json};

use super::put as put_member;
use crate::model::{DEFAULT, FORMAT, Place, Rule, Target};
use crate::route::{all, find_bus};
use crate::storage::{self, Kind};
use crate::{Events, errors, input, tick};

const TRIES: usize = 16;
const STATES: [&str; 3] = ["ENABLED", "DISABLED", "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"];

fn schedule(call: &Call, bus: &str) -> Result<Option<String>, ApiError> {
    let Some(text) = input::text(&call.input, "ScheduleExpression").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    if bus != DEFAULT {
        return Err(errors::invalid("ScheduleExpression is supported only on the default event bus."));
    }
    let is_valid = Schedule::parse(text).is_some_and(|schedule| schedule.is_recurring());
    if !is_valid || !schedule::is_strict_rate(text) {
        return Err(errors::invalid("Parameter ScheduleExpression is not valid."));
    }
    Ok(Some(text.to_owned()))
}

pub async fn put(events: &Events, call: &Call) -> Result<Answer, ApiError> {
    let (core, given) = (&events.core, &call.input);
    let name = input::name(given, "Name", 64)?;
    let (place, bus) = input::bus(call, "EventBusName")?;
    input::bounded(given, &[("Description", 512), ("RoleArn", 1600), ("ScheduleExpression", 256)])?;
    let state = input::text(given, "State");
    Validation::new().one_of("state", state, &STATES).finish("ValidationException")?;
    let pattern = super::pattern(given)?;
    let expression = schedule(call, &bus)?;
    if pattern.is_none() && expression.is_none() {
        return Err(errors::invalid("Parameter(s) EventPattern or ScheduleExpression must be specified."));
    }
    if find_bus(&core.storage, &place, &bus).await?.is_none() {
        return Err(errors::no_bus(&bus));
    }
    let now_ms = core.now_ms();
    for _ in 0..TRIES {
        let seen = core.storage.get::<Rule>(Kind::Rule, &place, &[&bus, name]).await?;
        if seen.is_none() {
            let count = limits::EVENTS_RULES_MAX;
            if core.storage.list::<Rule>(Kind::Rule, &place, &[&bus], "", None, count).await?.len() >= count {
                return Err(errors::limit("The requested resource exceeds the maximum number allowed."));
            }
        }
        let mut rule = Rule {
            v: FORMAT,
            pattern: pattern.clone(),
            schedule: expression.clone(),
            state: state.unwrap_or("ENABLED").to_owned(),
            description: input::owned(given, "Description"),
            role_arn: input::owned(given, "RoleArn"),
            created_by: call.context.account().to_owned(),
            tags: input::tags(given)?,
            ticking: id::hex(16),
            base_ms: now_ms,
        };
        if let Some((before, _)) = &seen {
            // Tags of a rule that is there are changed by TagResource only.
            rule.tags = before.tags.clone();
            if before.schedule == rule.schedule && before.is_enabled() == rule.is_enabled() {
                rule.ticking = before.ticking.clone();
                rule.base_ms = before.base_ms;
            }
        }
        let is_ticking = seen.as_ref().is_some_and(|(before, _)| before.ticking == rule.ticking);
        let rev = seen.map(|(_, rev)| rev);
        if write(events, &place, &bus, name, &rule, rev, !is_ticking).await? {
            return Answer::json(json!({"RuleArn": place.rule_arn(&bus, name)}));
        }
    }
    Err(errors::concurrent("Rule"))
}

/// A rule, and with it the first tick of a new schedule. Whether it was written; otherwise another was faster.
async fn write(
    events: &Events,
    place: &Place,
    bus: &str,
    name: &str,
    rule: &Rule,
    seen: Option<cumulet_store::Rev>,
    begins: bool,
) -> Result<bool, ApiError> {
    let core = &events.core;
    let mut txn = storage::put(storage::begin(place), Kind::Rule, place, &[bus, name], rule, seen)?;
    if bus != DEFAULT {
        txn = storage::exists(txn, Kind::Bus, place, &[bus]);
    }
    let mut wake = None;
    if begins && let Some(task) = tick::next(place, bus, name, rule, core.now_ms()) {
        let (more, made) = core.delivery.add(txn, &task)?;
        txn = more;
        wake = Some(made);
    }
    let is_written = core.storage.commit(txn).await?;
    core.routes.forget(place, bus);
    if let Some(wake) = wake.filter(|_| is_written) {
        wake.now();
    }
    Ok(is_written)
}

async fn set_state(events: &Events, call: &Call, state: &str) -> Result<Answer, ApiError> {
    let core = &events.core;
    let name = input::required(&call.input, "Name")?;
    let (place, bus) = input::bus(call, "EventBusName")?;
    for _ in 0..TRIES {
        let seen = core.storage.get::<Rule>(Kind::Rule, &place, &[&bus, name]).await?;
        let Some((mut rule, rev)) = seen else { return Err(errors::no_rule(name, &bus)) };
        let was_enabled = rule.is_enabled();
        rule.state = state.to_owned();
        let begins = !was_enabled && rule.is_enabled();
        if begins {
            rule.ticking = id::hex(16);
            rule.base_ms = core.now_ms();
        }
        if write(events, &place, &bus, name, &rule, Some(rev), begins).await? {
            return Ok(Answer::empty());
        }
    }
    Err(errors::concurrent("Rule"))
}

pub async fn enable(events: &Events, call: &Call) -> Result<Answer, ApiError> {
    set_state(events, call, "ENABLED").await
}

pub async fn disable(events: &Events, call: &Call) -> Result<Answer, ApiError> {
    set_state(events, call, "DISABLED").await
}

fn shown(place: &Place, bus: &str, name: &str, rule: &Rule) -> Value {
    let mut output = json!({
        "Name": name,
        "Arn": place.rule_arn(bus, name),
        "State": rule.state,
        "EventBusName": bus,
    });
    put_member(&mut output, "EventPattern", rule.pattern.clone());
    put_member(&mut output, "ScheduleExpression", rule.schedule.clone());
    put_member(&mut output, "Description", rule.description.clone());
    put_member(&mut output, "RoleArn", rule.role_arn.clone());
    output
}

pub async fn describe(events: &Events, call: &Call) -> Result<Answer, ApiError> {
    let name = input::required(&call.input, "Name")?;
    let (place, bus) = input::bus(call, "EventBusName")?;
    let found = events.core.storage.get::<Rule>(Kind::Rule, &place, &[&bus, name]).await?;
    let (rule, _) = found.ok_or_else(|| errors::no_rule(name, &bus))?;
    let mut output = shown(&place, &bus, name, &rule);
    output["CreatedBy"] = rule.created_by.into();
    Answer::json(output)
}

pub async fn list(events: &Events, call: &Call) -> Result<Answer, ApiError> {
    let core = &events.core;
    let (place, bus) = input::bus(call, "EventBusName")?;
    if find_bus(&core.storage, &place, &bus).await?.is_none() {
        return Err(errors::no_bus(&bus));
    }
    let (limit, after) = input::page(&call.input)?;
    let prefix = input::text(&call.input, "NamePrefix").unwrap_or_default();
    let found = core.storage.list::<Rule>(Kind::Rule, &place, &[&bus], prefix, after, limit + 1).await?;
    let (found, token) = input::cut(found, limit);
    let rules: Vec<Value> = found.iter().map(|(name, rule)| shown(&place, &bus, name, rule)).collect();
    let mut output = json!({"Rules": rules});
    put_member(&mut output, "NextToken", token);
    Answer::json(output)
}

pub async fn list_names_by_target(events: &Events, call: &Call) -> Result<Answer, ApiError> {
    let core = &events.core;
    let arn = input::required(&call.input, "TargetArn")?;
    let (place, bus) = input::bus(call, "EventBusName")?;
    let (limit, after) = input::page(&call.input)?;
    let route = core.route(&place, &bus).await?.ok_or_else(|| errors::no_bus(&bus))?;
    let rules = route.rules.iter().filter(|rule| rule.targets.iter().any(|to| to.target.arn == arn));
    let names = rules.map(|rule| (rule.name.clone(), ()));
    let names = names.filter(|(name, ())| after.is_none_or(|after| name.as_str() > after)).collect();
    let (names, token) = input::cut(names, limit);
    let names: Vec<String> = names.into_iter().map(|(name, ())| name).collect();
    let mut output = json!({"RuleNames": names});
    put_member(&mut output, "NextToken", token);
    Answer::json(output)
}

/// Of one that is not there, too, as on AWS.
pub async fn delete(events: &Events, call: &Call) -> Result<Answer, ApiError> {
    let core = &events.core;
    let name = input::required(&call.input, "Name")?;
    let (place, bus) = input::bus(call, "EventBusName")?;
    let txn = storage::none(storage::begin(&place), Kind::Target, &place, &[&bus, name]);
    let txn = storage::delete(txn, Kind::Rule, &place, &[&bus, name]);
    if !core.storage.commit(txn).await? {
        return Err(errors::invalid("Rule can't be deleted since it has targets."));
    }
    core.routes.forget(&place, &bus);
    Ok(Answer::empty())
}

pub async fn list_targets(events: &Events, call: &Call) -> Result<Answer, ApiError> {
    let core = &events.core;
    let rule = input::required(&call.input, "Rule")?;
    let (place, bus) = input::bus(call, "EventBusName")?;
    if core.storage.get::<Rule>(Kind::Rule, &place, &[&bus, rule]).await?.is_none() {
        return Err(errors::no_rule(rule, &bus));
    }
    let (limit, after) = input::page(&call.input)?;
    let targets = all::<Target>(&core.storage, Kind::Target, &place, &[&bus, rule]).await?;
    let targets = targets.into_iter().filter(|(id, _)| after.is_none_or(|after| id.as_str() > after)).collect();
    let (targets, token) = input::cut(targets, limit);
    let targets: Vec<Target> = targets.into_iter().map(|(_, target)| target).collect();
    let mut output = json!({"Targets": targets});
    put_member(&mut output, "NextToken", token);
    Answer::json(output)
}

pub fn test_pattern(call: &Call) -> Result<Answer, ApiError> {
    let pattern = input::required(&call.input, "EventPattern")?;
    let event = input::required(&call.input, "Event")?;
    let pattern = Pattern::parse(pattern).map_err(|error| errors::pattern(&error.to_string()))?;
    let event: Value = serde_json::from_str(event).map_err(|_| errors::invalid("Parameter Event is not valid."))?;
    for member in ["id", "account", "source", "time", "region", "resources", "detail-type"] {
        if event.get(member).is_none() {
            return Err(errors::invalid("Parameter Event is not valid."));
        }
    }
    Answer::json(json!({"Result": pattern.matches(&event)}))
}
