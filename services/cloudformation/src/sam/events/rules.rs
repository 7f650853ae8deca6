//! Events of functions that come from buses, timers and logs: Schedule, ScheduleV2, EventBridgeRule and CloudWatchEvent,
//! CloudWatchLogs. Logical ids are those that AWS's own transform makes.

use serde_json::{Map, Value, json};

use super::super::{Out, invalid, resource};
use super::{Function, needed, only};
use crate::errors::Error;

/// Target ids are no longer than this.
const TARGET_ID_CHARS_MAX: usize = 64;

/// An event of a function.
struct Event<'a> {
    function: &'a Function<'a>,
    id: &'a str,
    given: &'a Map<String, Value>,
}

impl Event<'_> {
    fn only(&self, known: &[&str]) -> Result<(), Error> {
        only(self.id, self.given, known)
    }

    fn required(&self, property: &str) -> Result<&Value, Error> {
        needed(self.id, self.given, property)
    }

    fn copy(&self, to: &mut Value, names: &[(&str, &str)]) {
        for (from, under) in names {
            if let Some(value) = self.given.get(*from) {
                to[*under] = value.clone();
            }
        }
    }

    /// `Enabled` is the older way to say the state.
    fn state(&self, to: &mut Value) {
        match (self.given.get("State"), self.given.get("Enabled")) {
            (Some(state), _) => to["State"] = state.clone(),
            (None, Some(Value::Bool(enabled))) => {
                to["State"] = if *enabled { "ENABLED" } else { "DISABLED" }.into();
            }
            (None, Some(Value::String(text))) => {
                to["State"] = if text == "true" { "ENABLED" } else { "DISABLED" }.into();
            }
            (None, _) => {}
        }
    }

    /// The function as a target, with what says how events get there.
    fn target(&self, out: &mut Out<'_>) -> Result<Value, Error> {
        let id = match self.given.get("Target").and_then(|target| target.get("Id")) {
            Some(id) => id.clone(),
            None => {
                let mut id = self.id.to_owned();
                id.truncate(TARGET_ID_CHARS_MAX - "LambdaTarget".len());
                format!("{id}LambdaTarget").into()
            }
        };
        let mut target = json!({ "Arn": self.function.arn(), "Id": id });
        self.copy(
            &mut target,
            &[("Input", "Input"), ("InputPath", "InputPath"), ("InputTransformer", "InputTransformer")],
        );
        if let Some(queue) = self.letters(&mut target, out)? {
            let statement = json!({
                "Action": "sqs:SendMessage",
                "Effect": "Allow",
                "Principal": { "Service": "events.amazonaws.com" },
                "Resource": { "Fn::GetAtt": [queue, "Arn"] },
                "Condition": { "ArnEquals": { "aws:SourceArn": { "Fn::GetAtt": [self.id, "Arn"] } } },
            });
            let document = json!({ "Version": "2012-10-17", "Statement": [statement] });
            let policy = json!({ "PolicyDocument": document, "Queues": [{ "Ref": queue }] });
            let policy = resource("AWS::SQS::QueuePolicy", self.function.source, policy);
            out.add(&format!("{}QueuePolicy", self.id), policy)?;
        }
        Ok(target)
    }

    /// Where what is not taken goes: to what the event names, or a queue that comes with it. Answers with the queue's logical
    /// id, if there is one.
    fn letters(&self, target: &mut Value, out: &mut Out<'_>) -> Result<Option<String>, Error> {
        self.copy(target, &[("RetryPolicy", "RetryPolicy")]);
        let Some(config) = self.given.get("DeadLetterConfig") else { return Ok(None) };
        let bad = |why: &str| invalid(format!("Event with id [{}] is invalid. {why}", self.id));
        match (config.get("Arn"), config.get("Type").and_then(Value::as_str)) {
            (Some(_), Some(_)) => Err(bad("You can either define 'Arn' or 'Type' property of DeadLetterConfig.")),
            (Some(arn), None) => {
                target["DeadLetterConfig"] = json!({ "Arn": arn });
                Ok(None)
            }
            (None, Some("SQS")) => {
                let named = config.get("QueueLogicalId").and_then(Value::as_str);
                let queue = named.map_or_else(|| format!("{}Queue", self.id), str::to_owned);
                out.add(&queue, resource("AWS::SQS::Queue", self.function.source, json!({})))?;
                target["DeadLetterConfig"] = json!({ "Arn": { "Fn::GetAtt": [queue, "Arn"] } });
                Ok(Some(queue))
            }
            (None, Some(_)) => Err(bad("The only valid value for 'Type' property of DeadLetterConfig is 'SQS'.")),
            (None, None) => Err(bad("No 'Arn' or 'Type' property provided for DeadLetterConfig.")),
        }
    }

    fn rule(&self, mut rule: Value, out: &mut Out<'_>) -> Result<(), Error> {
        self.state(&mut rule);
        rule["Targets"] = json!([self.target(out)?]);
        out.add(self.id, resource("AWS::Events::Rule", self.function.source, rule))?;
        let arn = json!({ "Fn::GetAtt": [self.id, "Arn"] });
        self.function.permission(self.id, "events.amazonaws.com", Some(arn), out)
    }

    fn schedule(&self, out: &mut Out<'_>) -> Result<(), Error> {
        self.only(&[
            "Schedule",
            "Name",
            "Description",
            "Enabled",
            "State",
            "Input",
            "DeadLetterConfig",
            "RetryPolicy",
        ])?;
        let mut rule = json!({ "ScheduleExpression": self.required("Schedule")? });
        self.copy(&mut rule, &[("Name", "Name"), ("Description", "Description")]);
        self.rule(rule, out)
    }

    fn pattern(&self, out: &mut Out<'_>) -> Result<(), Error> {
        self.only(&[
            "Pattern",
            "EventBusName",
            "RuleName",
            "Enabled",
            "State",
            "Input",
            "InputPath",
            "InputTransformer",
            "Target",
            "DeadLetterConfig",
            "RetryPolicy",
        ])?;
        let mut rule = json!({ "EventPattern": self.required("Pattern")? });
        self.copy(&mut rule, &[("EventBusName", "EventBusName"), ("RuleName", "Name")]);
        self.rule(rule, out)
    }

    fn timer(&self, out: &mut Out<'_>) -> Result<(), Error> {
        const COPIED: [&str; 8] = [
            "ScheduleExpression",
            "ScheduleExpressionTimezone",
            "Description",
            "StartDate",
            "EndDate",
            "State",
            "GroupName",
            "KmsKeyArn",
        ];
        let own = [
            "FlexibleTimeWindow",
            "Name",
            "OmitName",
            "Input",
            "RoleArn",
            "PermissionsBoundary",
            "DeadLetterConfig",
            "RetryPolicy",
        ];
        self.only(&[&COPIED[..], &own].concat())?;
        self.required("ScheduleExpression")?;
        let (id, source) = (self.id, self.function.source);
        let mut schedule = json!({ "FlexibleTimeWindow": self.given.get("FlexibleTimeWindow").cloned().unwrap_or_else(|| json!({ "Mode": "OFF" })) });
        self.copy(&mut schedule, &COPIED.map(|name| (name, name)));
        let omits = self.given.get("OmitName").is_some_and(|omits| omits == true);
        match self.given.get("Name") {
            Some(name) => schedule["Name"] = name.clone(),
            None if omits => {}
            None => schedule["Name"] = id.into(),
        }
        let mut target = json!({ "Arn": self.function.arn() });
        self.copy(&mut target, &[("Input", "Input")]);
        self.letters(&mut target, out)?;
        let role = match self.given.get("RoleArn") {
            Some(role) => role.clone(),
            None => {
                let role = format!("{id}Role");
                out.add(&role, resource("AWS::IAM::Role", source, self.role(&target)))?;
                json!({ "Fn::GetAtt": [role, "Arn"] })
            }
        };
        target["RoleArn"] = role;
        schedule["Target"] = target;
        out.add(id, resource("AWS::Scheduler::Schedule", source, schedule))
    }

    /// What the scheduler calls the function as.
    fn role(&self, target: &Value) -> Value {
        let trust = json!({
            "Action": ["sts:AssumeRole"],
            "Effect": "Allow",
            "Principal": { "Service": ["scheduler.amazonaws.com"] },
        });
        let allow = json!({
            "Action": "lambda:InvokeFunction",
            "Effect": "Allow",
            "Resource": self.function.arn(),
        });
        let mut role = json!({
            "AssumeRolePolicyDocument": { "Version": "2012-10-17", "Statement": [trust] },
            "Policies": [{
                "PolicyName": format!("{}LambdaPolicy", self.id),
                "PolicyDocument": { "Statement": [allow] },
            }],
        });
        if let (Some(config), Some(policies)) = (target.get("DeadLetterConfig"), role["Policies"].as_array_mut()) {
            let allow = json!({ "Action": "sqs:SendMessage", "Effect": "Allow", "Resource": config["Arn"] });
            let name = format!("{}SQSPolicy", self.id);
            policies.push(json!({ "PolicyName": name, "PolicyDocument": { "Statement": [allow] } }));
        }
        self.copy(&mut role, &[("PermissionsBoundary", "PermissionsBoundary")]);
        role
    }

    fn logs(&self, out: &mut Out<'_>) -> Result<(), Error> {
        self.only(&["LogGroupName", "FilterPattern"])?;
        let group = self.required("LogGroupName")?;
        let pattern = self.required("FilterPattern")?;
        let arn = "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:${__LogGroupName__}:*";
        let source_arn = json!({ "Fn::Sub": [arn, { "__LogGroupName__": group }] });
        self.function.permission(self.id, "logs.amazonaws.com", Some(source_arn), out)?;
        let filter = json!({
            "LogGroupName": group,
            "FilterPattern": pattern,
            "DestinationArn": self.function.arn(),
        });
        let mut made = resource("AWS::Logs::SubscriptionFilter", self.function.source, filter);
        // It is refused while the function may not be called.
        made["DependsOn"] = json!([format!("{}Permission", self.id)]);
        out.add(self.id, made)
    }
}

pub fn transform(
    function: &Function<'_>,
    id: &str,
    kind: &str,
    given: &Map<String, Value>,
    out: &mut Out<'_>,
) -> Result<(), Error> {
    let event = Event { function, id, given };
    match kind {
        "Schedule" => event.schedule(out),
        "ScheduleV2" => event.timer(out),
        "EventBridgeRule" | "CloudWatchEvent" => event.pattern(out),
        _ => event.logs(out),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::prepared;

    const TEMPLATE: &str = "
Transform: AWS::Serverless-2016-10-31
Resources:
  Fn:
    Type: AWS::Serverless::Function
    Properties:
      InlineCode: x
      Handler: index.handler
      Runtime: python3.12
      Events:
        S:
          Type: Schedule
          Properties: {Schedule: rate(1 minute), Name: n, Enabled: false, Input: '{}', RetryPolicy: {MaximumRetryAttempts: 1}}
        V:
          Type: ScheduleV2
          Properties: {ScheduleExpression: rate(1 minute), Input: '{}', State: ENABLED}
        B:
          Type: EventBridgeRule
          Properties: {Pattern: {source: [a]}, EventBusName: bus, InputPath: $.detail, RuleName: rn, Target: {Id: tid}}
        W:
          Type: CloudWatchEvent
          Properties: {Pattern: {source: [a]}, State: DISABLED}
        L:
          Type: CloudWatchLogs
          Properties: {LogGroupName: lg, FilterPattern: ERROR}
";

    /// As AWS's own transform makes them of the same template.
    #[test]
    fn as_awss_transform() {
        let (value, _) = prepared::processed_by_defaults(TEMPLATE).unwrap();
        let resources = value["Resources"].as_object().unwrap();
        let mut names: Vec<_> = resources.keys().map(String::as_str).collect();
        names.sort_unstable();
        let expect = [
            "Fn",
            "FnB",
            "FnBPermission",
            "FnL",
            "FnLPermission",
            "FnRole",
            "FnS",
            "FnSPermission",
            "FnV",
            "FnVRole",
            "FnW",
            "FnWPermission",
        ];
        assert_eq!(names, expect);
        let arn = json!({"Fn::GetAtt": ["Fn", "Arn"]});
        for (name, expect) in [
            (
                "FnS",
                json!({"ScheduleExpression": "rate(1 minute)", "Name": "n", "State": "DISABLED", "Targets": [
                {"Arn": arn, "Id": "FnSLambdaTarget", "Input": "{}", "RetryPolicy": {"MaximumRetryAttempts": 1}}]}),
            ),
            (
                "FnB",
                json!({"EventPattern": {"source": ["a"]}, "EventBusName": "bus", "Name": "rn", "Targets": [
                {"Arn": arn, "Id": "tid", "InputPath": "$.detail"}]}),
            ),
            (
                "FnW",
                json!({"EventPattern": {"source": ["a"]}, "State": "DISABLED", "Targets": [
                {"Arn": arn, "Id": "FnWLambdaTarget"}]}),
            ),
            (
                "FnV",
                json!({"FlexibleTimeWindow": {"Mode": "OFF"}, "ScheduleExpression": "rate(1 minute)", "State": "ENABLED",
                "Name": "FnV", "Target": {"Arn": arn, "RoleArn": {"Fn::GetAtt": ["FnVRole", "Arn"]}, "Input": "{}"}}),
            ),
            ("FnL", json!({"LogGroupName": "lg", "FilterPattern": "ERROR", "DestinationArn": arn})),
        ] {
            assert_eq!(resources[name]["Properties"], expect, "{name}");
        }
        assert_eq!(resources["FnL"]["DependsOn"], json!(["FnLPermission"]));
        assert_eq!(resources["FnSPermission"]["Properties"]["SourceArn"], json!({"Fn::GetAtt": ["FnS", "Arn"]}));
        assert_eq!(resources["FnLPermission"]["Properties"]["Principal"], "logs.amazonaws.com");
    }
}
