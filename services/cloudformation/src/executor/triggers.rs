//! Rollback triggers: alarms that take back the creation or the update of a stack, while it is under way and for the
//! monitoring time after its last step
//! (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-rollback-triggers.html>). They are not
//! looked at on the way back.

use std::time::Duration;

use cumulet_base::arn::Arn;
use cumulet_base::limits;
use serde_json::{Value, json};

use super::{Failed, Run};
use crate::errors::Error;
use crate::stack::{RollbackConfiguration, Trigger};

/// The list of an answer that has alarms of a trigger's type.
fn list_of(kind: &str) -> &'static str {
    match kind {
        "AWS::CloudWatch::CompositeAlarm" => "CompositeAlarms",
        _ => "MetricAlarms",
    }
}

/// Why the alarms take a stack back, by what CloudWatch says of them.
fn breach(triggers: &[Trigger], answer: &Value) -> Option<String> {
    triggers.iter().find_map(|trigger| {
        let alarms = answer[list_of(&trigger.kind)].as_array();
        let alarm = alarms.into_iter().flatten().find(|alarm| alarm["AlarmArn"] == trigger.arn.as_str());
        match alarm.map(|alarm| alarm["StateValue"] == "ALARM") {
            Some(false) => None,
            Some(true) => Some(format!("The rollback trigger {} is in the state ALARM", trigger.arn)),
            None => Some(format!("The rollback trigger {} does not exist", trigger.arn)),
        }
    })
}

impl Run {
    /// Looks at the alarms until one of them takes the stack back; for ever where there are none.
    pub(super) async fn alarmed(&self) -> String {
        let Some(triggers) = self.stack.rollback.as_ref().map(|of| &of.rollback_triggers).filter(|of| !of.is_empty())
        else {
            return std::future::pending().await;
        };
        loop {
            if let Some(why) = self.looked_at(triggers).await {
                return why;
            }
            tokio::time::sleep(Duration::from_millis(limits::STACK_ALARMS_MS)).await;
        }
    }

    /// Why the alarms take the stack back now. What may pass is left to the next look.
    async fn looked_at(&self, triggers: &[Trigger]) -> Option<String> {
        let client = self.client().ok()?;
        let name = |trigger: &Trigger| {
            let arn: Arn = trigger.arn.parse().ok()?;
            Some(arn.resource.strip_prefix("alarm:")?.to_owned())
        };
        let names: Vec<String> = triggers.iter().filter_map(name).collect();
        let input = json!({ "AlarmNames": names, "AlarmTypes": ["MetricAlarm", "CompositeAlarm"] });
        match client.call("cloudwatch", "DescribeAlarms", input).await {
            Ok(answer) => breach(triggers, &answer),
            Err(error) if error.status >= 500 => {
                tracing::warn!(%error, stack = self.stack.name, "looking at the rollback triggers of a stack");
                None
            }
            Err(error) => {
                Some(format!("The rollback triggers cannot be looked at: {}", super::forward::reason(&error)))
            }
        }
    }

    /// Stays for the monitoring time, and looks at the alarms at least once.
    pub(super) async fn monitored(&mut self) -> Result<Result<(), Failed>, Error> {
        let Some(RollbackConfiguration { rollback_triggers, monitoring_time_in_minutes }) = self.stack.rollback.clone()
        else {
            return Ok(Ok(()));
        };
        let since_ms = match self.stack.monitored_since_ms {
            Some(since_ms) => since_ms,
            None => {
                let now_ms = self.now();
                self.stack.monitored_since_ms = Some(now_ms);
                self.save(&[]).await?;
                now_ms
            }
        };
        let until_ms = since_ms + monitoring_time_in_minutes * 60_000;
        let mut cancelled = self.cloud.cancelled.subscribe();
        loop {
            if !rollback_triggers.is_empty()
                && let Some(why) = self.looked_at(&rollback_triggers).await
            {
                return Ok(Err(Failed(why)));
            }
            if self.cloud.is_cancelled(&self.stack.id) {
                return Ok(Err(Failed("User Initiated".to_owned())));
            }
            let left_ms = until_ms.saturating_sub(self.now());
            if left_ms == 0 {
                return Ok(Ok(()));
            }
            let pause = Duration::from_millis(left_ms.min(limits::STACK_ALARMS_MS));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                Ok(_) = cancelled.wait_for(|stacks| stacks.contains(&self.stack.id)) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_that_are_on_or_missing_take_back() {
        let trigger = |name: &str, kind: &str| Trigger { arn: format!("arn:{name}"), kind: kind.to_owned() };
        let alarm = |name: &str, state: &str| json!({"AlarmArn": format!("arn:{name}"), "StateValue": state});
        let answer = json!({
            "MetricAlarms": [alarm("calm", "OK"), alarm("new", "INSUFFICIENT_DATA"), alarm("loud", "ALARM")],
            "CompositeAlarms": [alarm("both", "OK")],
        });
        let metric = "AWS::CloudWatch::Alarm";
        let check = |triggers: &[Trigger], expect: Option<&str>| {
            let why = breach(triggers, &answer);
            assert_eq!(why.is_some(), expect.is_some(), "{why:?}");
            assert!(why.unwrap_or_default().ends_with(expect.unwrap_or_default()));
        };
        check(&[], None);
        check(&[trigger("calm", metric), trigger("new", metric)], None);
        check(&[trigger("both", "AWS::CloudWatch::CompositeAlarm")], None);
        check(&[trigger("both", metric)], Some("does not exist"));
        check(&[trigger("calm", metric), trigger("loud", metric)], Some("ALARM"));
        check(&[trigger("other", metric)], Some("does not exist"));
    }
}
