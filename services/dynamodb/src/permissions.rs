//! What a call needs to be allowed: an action on each table it names, and what the tables' own policies say to it
//! (<https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html>).

use std::collections::BTreeSet;

use cumulet_wire::auth::Authorizer;
use cumulet_wire::call::Call;
use cumulet_wire::error::ApiError;
use cumulet_wire::policy;
use serde_json::Value as Json;

use crate::input::place_of_arn;
use crate::model::Place;
use crate::partiql::Statement;
use crate::{MODEL, Shared};

pub async fn authorize(shared: &Shared, authorizer: &dyn Authorizer, call: &Call) -> Result<(), ApiError> {
    for (action, resource) in needed(call) {
        // A table's policy is asked with the table's name; those without one say nothing.
        let own = match place_of_arn(&resource) {
            Some(place) => shared.tables.find(&place).await?.and_then(|live| live.table.policy.clone()),
            None => None,
        };
        let document = own.as_ref().map(|own| own.document.as_str());
        policy::guard(authorizer, &call.context.caller, &action, &resource, document).await.map_err(|mut error| {
            if error.code == "AccessDeniedException" {
                error.status = 400;
            }
            error
        })?;
    }
    Ok(())
}

/// Actions and resources, each once.
fn needed(call: &Call) -> BTreeSet<(String, String)> {
    let input = &call.input;
    let mut needed = BTreeSet::new();
    let mut need = |action: &str, name: &str, tail: &str| {
        needed.insert((format!("{}:{action}", MODEL.name), format!("{}{tail}", arn_of(call, name))));
    };
    let text = |member: &str| input.get(member).and_then(Json::as_str);
    match call.operation.name {
        "BatchGetItem" | "BatchWriteItem" => {
            let tables = input.get("RequestItems").and_then(Json::as_object);
            tables.into_iter().flatten().for_each(|(name, _)| need(call.operation.name, name, ""));
        }
        "TransactGetItems" | "TransactWriteItems" => {
            let parts = input.get("TransactItems").and_then(Json::as_array);
            for (kind, part) in parts.into_iter().flatten().filter_map(Json::as_object).flatten() {
                let Some(name) = part.get("TableName").and_then(Json::as_str) else { continue };
                let action = match kind.as_str() {
                    "Get" => "GetItem",
                    "Put" => "PutItem",
                    "Update" => "UpdateItem",
                    "Delete" => "DeleteItem",
                    _ => "ConditionCheckItem",
                };
                need(action, name, "");
            }
        }
        "ExecuteStatement" | "BatchExecuteStatement" | "ExecuteTransaction" => {
            for statement in crate::operations::statements_of(input) {
                let (action, index) = match &statement {
                    Statement::Select(select) | Statement::Exists(select) => ("PartiQLSelect", &select.source.index),
                    Statement::Insert(_) => ("PartiQLInsert", &None),
                    Statement::Update(_) => ("PartiQLUpdate", &None),
                    Statement::Delete(_) => ("PartiQLDelete", &None),
                };
                let tail = index.as_ref().map(|index| format!("/index/{index}")).unwrap_or_default();
                need(action, statement.table(), &tail);
            }
        }
        "Query" | "Scan" => {
            let tail = text("IndexName").map(|index| format!("/index/{index}")).unwrap_or_default();
            need(call.operation.name, text("TableName").unwrap_or("*"), &tail);
        }
        "ListTables" | "DescribeLimits" | "DescribeEndpoints" | "ListBackups" | "ListStreams" => {
            needed.insert((format!("{}:{}", MODEL.name, call.operation.name), "*".to_owned()));
        }
        "RestoreTableFromBackup" | "RestoreTableToPointInTime" => {
            let source = ["BackupArn", "SourceTableArn", "SourceTableName"].into_iter().find_map(text);
            need(call.operation.name, source.unwrap_or("*"), "");
            need(call.operation.name, text("TargetTableName").unwrap_or("*"), "");
        }
        "GetRecords" => {
            let stream = text("ShardIterator").and_then(crate::operations::streams::arn_of_iterator);
            need("GetRecords", stream.as_deref().unwrap_or("*"), "");
        }
        other => {
            let named = ["TableName", "ResourceArn", "StreamArn", "BackupArn"].into_iter().find_map(text);
            need(other, named.unwrap_or("*"), "");
        }
    }
    needed
}

/// The ARN of what a name means; an ARN is one already.
fn arn_of(call: &Call, name: &str) -> String {
    if name == "*" || name.starts_with("arn:") {
        return name.to_owned();
    }
    let context = &call.context;
    Place { account: context.account().to_owned(), region: context.region.clone(), name: name.to_owned() }.arn()
}

#[cfg(test)]
mod tests {
    use cumulet_wire::auth::{Caller, Principal};
    use cumulet_wire::call::Context;
    use serde_json::json;

    use super::*;

    fn needed_for(operation: &str, input: Json) -> Vec<String> {
        let operation = crate::OPERATIONS.iter().find(|known| known.name == operation).unwrap();
        let Json::Object(input) = input else { panic!("the input is an object") };
        let context = Context {
            caller: Caller {
                account: "000000000000".to_owned(),
                arn: "arn:aws:iam::000000000000:user/u".to_owned(),
                user_id: "U".to_owned(),
                kind: Principal::Owner,
            },
            region: "us-east-1".to_owned(),
            request_id: "r".to_owned(),
            host: "h".to_owned(),
            now_ms: 0,
            trace: None,
        };
        let call = Call { operation, input, payload: Default::default(), context };
        let tables = "arn:aws:dynamodb:us-east-1:000000000000:table/";
        needed(&call).into_iter().map(|(action, on)| format!("{action} {}", on.strip_prefix(tables).unwrap())).collect()
    }

    #[test]
    fn statements_need_what_they_do() {
        let cases = [
            ("SELECT * FROM t WHERE a = ?", "dynamodb:PartiQLSelect t"),
            ("SELECT * FROM t.i", "dynamodb:PartiQLSelect t/index/i"),
            ("INSERT INTO t VALUE {'a': ?}", "dynamodb:PartiQLInsert t"),
            ("UPDATE t SET b = ? WHERE a = 1", "dynamodb:PartiQLUpdate t"),
            ("FROM t WHERE a = ? REMOVE b", "dynamodb:PartiQLUpdate t"),
            ("DELETE FROM t WHERE a = ?", "dynamodb:PartiQLDelete t"),
            ("EXISTS(SELECT * FROM t WHERE a = ?)", "dynamodb:PartiQLSelect t"),
        ];
        let mut all = Vec::new();
        for (text, expect) in cases {
            let parameters = if text.contains('?') { json!([{"N": "1"}]) } else { Json::Null };
            let one = json!({"Statement": text, "Parameters": parameters});
            assert_eq!(needed_for("ExecuteStatement", one.clone()), [expect], "{text}");
            all.push(one);
        }
        let expect = ["Delete t", "Insert t", "Select t", "Select t/index/i", "Update t"];
        let expect = expect.map(|needed| format!("dynamodb:PartiQL{needed}"));
        assert_eq!(needed_for("BatchExecuteStatement", json!({"Statements": all})), expect);
        assert_eq!(needed_for("ExecuteTransaction", json!({"TransactStatements": all})), expect);
    }

    /// What cannot be read is refused before anything is done, so that nothing has to be allowed for it.
    #[test]
    fn statements_that_cannot_be_read_need_nothing() {
        for statement in [json!("SLECT"), json!(1), json!("SELECT * FROM t WHERE a = ?"), json!("")] {
            assert!(needed_for("ExecuteStatement", json!({"Statement": statement})).is_empty());
            assert!(crate::operations::statements_of(json!({"Statement": statement}).as_object().unwrap()).is_empty());
        }
    }
}
