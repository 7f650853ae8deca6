//! SetAlarmState, EnableAlarmActions, DisableAlarmActions.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::Value;

use super::{required, text, texts};
use crate::alarms::STATES;
use crate::metrics::Place;
use crate::model::Alarm;
use crate::storage::ALARM;
use crate::{CloudWatch, errors};

const ATTEMPTS_MAX: usize = 16;

/// Until the alarm is looked at the next time.
pub async fn set(watch: &CloudWatch, call: &Call) -> Result<Answer, ApiError> {
    let (name, value) = (required(call, "AlarmName")?, required(call, "StateValue")?);
    let reason = text(call, "StateReason").ok_or_else(|| errors::missing("StateReason"))?;
    if !STATES.contains(&value) {
        return Err(errors::validation(format!("StateValue {value} is not known")));
    }
    let data = text(call, "StateReasonData");
    if data.is_some_and(|data| serde_json::from_str::<Value>(data).is_err()) {
        return Err(ApiError::new(400, "InvalidFormatFault", "StateReasonData is not JSON"));
    }
    if reason.chars().count() > 1023 || data.is_some_and(|data| data.chars().count() > 4000) {
        return Err(errors::validation("StateReason has at most 1023 characters, StateReasonData 4000"));
    }
    let place = Place::of(&call.context);
    for _ in 0..ATTEMPTS_MAX {
        let found = watch.storage.get_row::<Alarm>(&place, ALARM, name).await?;
        let (alarm, rev) = found.ok_or_else(|| errors::no_alarm(name))?;
        let state = alarm.state.next(value, reason.to_owned(), data.map(str::to_owned), call.context.now_ms);
        if watch.watcher.transition(&place, alarm, rev, state).await? {
            return Ok(Answer::empty());
        }
    }
    Err(errors::busy())
}

pub async fn enable(watch: &CloudWatch, call: &Call, is_enabled: bool) -> Result<Answer, ApiError> {
    for name in texts(call, "AlarmNames") {
        watch
            .storage
            .update(&Place::of(&call.context), (ALARM, name), |alarm: Option<Alarm>| {
                Ok(alarm.map(|mut alarm| {
                    alarm.members.insert("ActionsEnabled".into(), is_enabled.into());
                    alarm
                }))
            })
            .await?;
    }
    Ok(Answer::empty())
}
