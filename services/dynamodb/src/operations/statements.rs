//! ExecuteStatement and BatchExecuteStatement: one statement of PartiQL at a time, on one table.

use std::sync::Arc;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use cumulet_base::limits;
use cumulet_wire::error::ApiError;
use serde_json::{Map, Value as Json, json};

use super::Request;
use super::items::{check_condition, updated};
use super::query::{check_types, span_of};
use crate::Shared;
use crate::capacity::{self, Reading, Used, Wanted};
use crate::change::By;
use crate::errors;
use crate::expression::Condition;
use crate::input::{self, Input, missing, place_of};
use crate::items::{Next, Written};
use crate::keys;
use crate::model::{Index, IndexStatus, Projection, Table};
use crate::pages::{self, Page};
use crate::partiql::{
    Access, Change, Insert, Removal, Returning, Select, Statement, one_item, several_items, statement,
};
use crate::request::check_update;
use crate::storage::Span;
use crate::tables::Live;
use crate::value::{Item, Value, item_size_bytes, item_to_json};

/// A statement with what is said beside it.
pub(super) struct Given {
    pub statement: Statement,
    pub shows_old: bool,
}

/// Reads `Statement` and `Parameters`, wherever they stand.
pub(super) fn given(json: &Json) -> Result<Given, ApiError> {
    let input = Input(json);
    let text = input.required_text("Statement")?;
    if text.is_empty() || text.len() > limits::DYNAMODB_STATEMENT_BYTES_MAX {
        let bound = if text.is_empty() { "greater than or equal to 1" } else { "less than or equal to 8192" };
        return Err(input::constraint("statement", Some(text), &format!("Member must have length {bound}")));
    }
    let parameters = match input.list("Parameters")? {
        None => Vec::new(),
        Some(list) if list.is_empty() => {
            let rule = "Member must have length greater than or equal to 1";
            return Err(input::constraint("parameters", Some("[]"), rule));
        }
        Some(list) => list.iter().map(Value::from_json).collect::<Result<_, _>>()?,
    };
    let shows_old = input.one_of("ReturnValuesOnConditionCheckFailure", &["ALL_OLD", "NONE"])? == Some("ALL_OLD");
    Ok(Given { statement: statement(text, &parameters)?, shows_old })
}

/// A list of at least one and at most so many statements.
pub(super) fn listed<'a>(input: &Input<'a>, member: &str, max: usize) -> Result<&'a [Json], ApiError> {
    let list = input.list(member)?.ok_or_else(|| missing(member))?;
    let rule = match list.len() {
        0 => "Member must have length greater than or equal to 1".to_owned(),
        n if n > max => format!("Member must have length less than or equal to {max}"),
        _ => return Ok(list),
    };
    let (first, rest) = member.split_at(1);
    Err(input::constraint(&format!("{}{rest}", first.to_ascii_lowercase()), Some("[...]"), &rule))
}

pub async fn execute(shared: &Arc<Shared>, request: &Request) -> Result<Json, ApiError> {
    let input = Input(&request.input);
    let wanted = Wanted::parse(input.text("ReturnConsumedCapacity")?)?;
    let limit = pages::limit_of(&input)?;
    let is_consistent = input.is("ConsistentRead")?;
    let given = given(&request.input)?;
    let mut answer = Map::new();
    let (live, used) = match &given.statement {
        Statement::Select(select) => {
            let digest = hex::encode(keys::digest(request.input["Statement"].to_string().as_bytes()));
            let from = input.text("NextToken")?.map(|token| Resume::read(token, &digest)).transpose()?;
            let live = shared.tables.active(&place_of(&request.call, &select.source.table)?).await?;
            let mut reading = Rows { live: live.clone(), select, is_consistent, limit, wanted };
            let (items, next, used) = reading.run(shared, from.unwrap_or_default()).await?;
            answer.insert("Items".into(), items.iter().map(item_to_json).collect());
            if let Some(next) = next {
                if let Some(last) = &next.last {
                    answer.insert("LastEvaluatedKey".into(), last.clone());
                }
                answer.insert("NextToken".into(), next.write(&digest).into());
            }
            (live, used)
        }
        Statement::Exists(_) => {
            return Err(errors::invalid("EXISTS() can only be used in ExecuteTransaction"));
        }
        write => {
            let (written, returned) = change(shared, request, write, given.shows_old).await?;
            let items: Vec<Json> = returned.iter().filter(|item| !item.is_empty()).map(item_to_json).collect();
            answer.insert("Items".into(), items.into());
            (written.live, written.used)
        }
    };
    if let Some(told) = capacity::told(&live.table, given.statement.table(), &used, wanted, false) {
        answer.insert("ConsumedCapacity".into(), told);
    }
    Ok(answer.into())
}

pub async fn batch(shared: &Arc<Shared>, request: &Request) -> Result<Json, ApiError> {
    let input = Input(&request.input);
    let wanted = Wanted::parse(input.text("ReturnConsumedCapacity")?)?;
    let list = listed(&input, "Statements", limits::DYNAMODB_BATCH_STATEMENTS_MAX)?;
    let all: Vec<Result<Given, ApiError>> = list.iter().map(given).collect();
    let is_read = |given: &Given| matches!(given.statement, Statement::Select(_));
    let reads = all.iter().flatten().filter(|given| is_read(given)).count();
    if reads > 0 && reads < all.iter().flatten().count() {
        return Err(errors::invalid("A batch must consist of either read statements or write statements, not of both"));
    }
    let mut responses = Vec::with_capacity(all.len());
    let mut consumed = Vec::new();
    for (given, json) in all.into_iter().zip(list) {
        let table = given.as_ref().ok().map(|given| given.statement.table().to_owned());
        let one = match given {
            Ok(given) => one_of_batch(shared, request, &given, Input(json).is("ConsistentRead")?).await,
            Err(error) => Err(error),
        };
        let mut response = Map::new();
        match one {
            Ok((live, item, used)) => {
                if let Some(item) = item.filter(|item| !item.is_empty()) {
                    response.insert("Item".into(), item_to_json(&item));
                }
                if let Some(name) = &table {
                    consumed.extend(capacity::told(&live.table, name, &used, wanted, false));
                }
            }
            Err(error) if error.code == "SerializationException" => return Err(error),
            Err(error) => {
                let mut told = json!({"Code": errors::of_statement(&error), "Message": error.message});
                if let Some(item) = error.fields.get("Item") {
                    told["Item"] = item.clone();
                }
                response.insert("Error".into(), told);
            }
        }
        if let Some(name) = table {
            response.insert("TableName".into(), name.into());
        }
        responses.push(Json::Object(response));
    }
    let mut answer = json!({"Responses": responses});
    if wanted != Wanted::None {
        answer["ConsumedCapacity"] = consumed.into();
    }
    Ok(answer)
}

async fn one_of_batch(
    shared: &Arc<Shared>,
    request: &Request,
    given: &Given,
    is_consistent: bool,
) -> Result<(Arc<Live>, Option<Item>, Used), ApiError> {
    match &given.statement {
        Statement::Select(select) => {
            let live = shared.tables.active(&place_of(&request.call, &select.source.table)?).await?;
            let key = selected_key(select, &live.table, "BatchExecuteStatement")?;
            let key = input::key_of(&live.table, &key)?;
            let (item, used) = shared.read(&live, &key, Reading::of(is_consistent)).await?;
            Ok((live, item.map(|item| select.columns.of(&item)), used))
        }
        Statement::Exists(_) => Err(errors::invalid("EXISTS() can only be used in ExecuteTransaction")),
        write => {
            let (written, returned) = change(shared, request, write, given.shows_old).await?;
            Ok((written.live, returned, written.used))
        }
    }
}

/// The key of the one item that a SELECT names, and names nothing else of.
pub(super) fn selected_key(select: &Select, table: &Table, operation: &str) -> Result<Item, ApiError> {
    let refused = || {
        let message = format!("Select statements within {operation} must specify the primary key in the where clause.");
        errors::invalid(message)
    };
    if select.source.index.is_some() {
        return Err(refused());
    }
    match one_item(select.filter.as_ref(), table.key.names()) {
        Ok((key, None)) => Ok(key),
        _ => Err(refused()),
    }
}

/// What a write makes of an item; `Keep` where there is nothing to be changed.
pub(super) fn decided(
    statement: &Statement,
    table: &Table,
    old: Option<&Item>,
    shows_old: bool,
) -> Result<Next, ApiError> {
    match (statement, old) {
        (Statement::Insert(_), Some(_)) => Err(errors::duplicate()),
        (Statement::Insert(insert), None) => Ok(Next::Put(insert.item.clone())),
        // AWS's UPDATE changes what is there, and does not make anything.
        (Statement::Update(_), None) => Err(errors::condition()),
        (Statement::Update(change), Some(old)) => {
            let (key, condition) = one_item(change.filter.as_ref(), table.key.names())?;
            check_condition(condition.as_ref(), Some(old), shows_old)?;
            updated(table, Some(&change.update), &key, Some(old))
        }
        (Statement::Delete(_), None) => Ok(Next::Keep),
        (Statement::Delete(removal), Some(old)) => {
            let (_, condition) = one_item(removal.filter.as_ref(), table.key.names())?;
            check_condition(condition.as_ref(), Some(old), shows_old)?;
            Ok(Next::Delete)
        }
        (Statement::Exists(select), old) => {
            let (_, condition) = one_item(select.filter.as_ref(), table.key.names())?;
            let Some(old) = old else { return Err(errors::condition()) };
            check_condition(condition.as_ref(), Some(old), shows_old)?;
            Ok(Next::Keep)
        }
        (Statement::Select(_), _) => Ok(Next::Keep),
    }
}

/// The key of the item that a statement is about.
pub(super) fn key_of(statement: &Statement, table: &Table) -> Result<keys::ItemKey, ApiError> {
    let filter = match statement {
        Statement::Insert(Insert { item, .. }) => {
            if item_size_bytes(item) > limits::TABLE_ITEM_BYTES_MAX {
                return Err(errors::item_too_large());
            }
            let key = input::key_of_item(table, item)?;
            input::check_item(table, item)?;
            return Ok(key);
        }
        Statement::Update(Change { update, filter, .. }) => {
            check_update(table, update)?;
            filter
        }
        Statement::Delete(Removal { filter, .. }) => filter,
        Statement::Select(select) | Statement::Exists(select) => &select.filter,
    };
    let (key, _) = one_item(filter.as_ref(), table.key.names())?;
    input::key_of(table, &key)
}

/// Carries out a statement that writes, and gives what it returns.
async fn change(
    shared: &Arc<Shared>,
    request: &Request,
    statement: &Statement,
    shows_old: bool,
) -> Result<(Written, Option<Item>), ApiError> {
    let place = place_of(&request.call, statement.table())?;
    let written = shared.write(
        &place,
        By::Caller,
        |table| key_of(statement, table),
        |table, old| decided(statement, table, old, shows_old),
    );
    let written = written.await?;
    let (old, new) = (written.old.as_ref(), written.new.as_ref());
    let returned = match statement {
        Statement::Update(change) => match change.returning {
            None => None,
            Some(Returning::AllOld) => old.cloned(),
            Some(Returning::AllNew) => new.cloned(),
            Some(Returning::ModifiedOld) => old.map(|old| change.update.updated_old(old)),
            Some(Returning::ModifiedNew) => new.map(|new| change.update.updated_new(new)),
        },
        Statement::Delete(removal) if removal.returns_old => old.cloned(),
        _ => None,
    };
    Ok((written, returned))
}

/// Where a SELECT goes on: in which of its queries, and behind which key.
#[derive(Default)]
struct Resume {
    query: usize,
    last: Option<Json>,
}

impl Resume {
    /// Tokens are of one statement.
    fn read(token: &str, digest: &str) -> Result<Resume, ApiError> {
        let wrong = || errors::invalid("Given NextToken does not belong to the statement");
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).map_err(|_| errors::invalid("Invalid NextToken"))?;
        let json: Json = serde_json::from_slice(&bytes).map_err(|_| errors::invalid("Invalid NextToken"))?;
        if json["statement"].as_str() != Some(digest) {
            return Err(wrong());
        }
        let query = json["query"].as_u64().and_then(|query| usize::try_from(query).ok()).ok_or_else(wrong)?;
        Ok(Resume { query, last: json.get("last").filter(|last| !last.is_null()).cloned() })
    }

    fn write(&self, digest: &str) -> String {
        let json = json!({"statement": digest, "query": self.query, "last": self.last});
        BASE64_URL_SAFE_NO_PAD.encode(json.to_string())
    }
}

/// A SELECT being answered.
struct Rows<'a> {
    live: Arc<Live>,
    select: &'a Select,
    is_consistent: bool,
    limit: Option<u32>,
    wanted: Wanted,
}

impl Rows<'_> {
    /// The items, where the next page begins, and what it used.
    async fn run(&mut self, shared: &Arc<Shared>, from: Resume) -> Result<(Vec<Item>, Option<Resume>, Used), ApiError> {
        let live = self.live.clone();
        let table = &live.table;
        let index = self.index(table)?;
        let schema = index.map_or(&table.key, |index| &index.key);
        let (access, condition) = several_items(self.select, schema.names())?;
        self.check_projected(table, index, &access, condition.as_ref())?;
        let spans = self.spans(table, index, &access)?;
        let mut from = from;
        let mut items = Vec::new();
        let (mut used, mut scanned, mut bytes) = (Used::default(), 0, 0);
        while let Some(span) = spans.get(from.query) {
            let limit = self.limit.map(|limit| limit.saturating_sub(scanned));
            if limit == Some(0) || bytes > limits::TABLE_PAGE_BYTES_MAX {
                return Ok((items, Some(from), used));
            }
            let mut page = self.page(index, span.clone(), limit);
            if let Some(last) = from.last.take() {
                let start = pages::start_of(table, index, &Input(&json!({"ExclusiveStartKey": last})))?;
                start.iter().for_each(|start| page.span.skip(start));
            }
            let (seen, more) = shared.read_page(&mut page).await?;
            used.add(&more);
            scanned = scanned.saturating_add(u32::try_from(seen.scanned).unwrap_or(u32::MAX));
            bytes += seen.bytes;
            let holds = |item: &&Item| condition.as_ref().is_none_or(|condition| condition.holds(Some(item)));
            items.extend(seen.items.iter().filter(holds).map(|item| self.select.columns.of(item)));
            match seen.last {
                Some(last) => {
                    from.last = Some(item_to_json(&last));
                    return Ok((items, Some(from), used));
                }
                None => from.query += 1,
            }
        }
        Ok((items, None, used))
    }

    fn index<'t>(&self, table: &'t Table) -> Result<Option<&'t Index>, ApiError> {
        let Some(name) = &self.select.source.index else { return Ok(None) };
        let index = table.index(name).ok_or_else(|| errors::invalid("The table does not have the specified index"))?;
        if index.status != IndexStatus::Active {
            return Err(errors::invalid(format!("Cannot read from backfilling global secondary index: {name}")));
        }
        if self.is_consistent && index.is_global {
            return Err(errors::invalid("Strongly consistent read is not supported on Global Secondary Indexes"));
        }
        Ok(Some(index))
    }

    /// A read by key may only test what the index holds; a global index does not fetch what it lacks.
    fn check_projected(
        &self,
        table: &Table,
        index: Option<&Index>,
        access: &Access,
        condition: Option<&Condition>,
    ) -> Result<(), ApiError> {
        let Some(index) = index else { return Ok(()) };
        let lacking = |names: Vec<&str>| -> Vec<String> {
            names.into_iter().filter(|name| !table.is_in_index(index, name)).map(str::to_owned).collect()
        };
        let tested = lacking(condition.map(|condition| condition.names().into_iter().collect()).unwrap_or_default());
        if matches!(access, Access::Queries { .. }) && !tested.is_empty() {
            return Err(errors::parameter(format!(
                "Secondary index {} does not project one or more filter attributes: [{}]",
                index.name,
                tested.join(", ")
            )));
        }
        let asked = lacking(self.select.columns.attributes().unwrap_or_default());
        if index.is_global && !asked.is_empty() {
            return Err(errors::parameter(format!(
                "Global secondary index {} does not project [{}]",
                index.name,
                asked.join(", ")
            )));
        }
        Ok(())
    }

    fn spans(&self, table: &Table, index: Option<&Index>, access: &Access) -> Result<Vec<Span>, ApiError> {
        let Access::Queries { keys, is_descending } = access else { return Ok(vec![span_of(table, index, None)]) };
        let schema = index.map_or(&table.key, |index| &index.key);
        let span = |key| {
            check_types(schema, key)?;
            let (lo, hi) = keys::condition(table.rows, index.map(|index| index.id), key);
            Ok(Span { lo, hi, is_reverse: *is_descending })
        };
        keys.iter().map(span).collect()
    }

    fn page(&self, index: Option<&Index>, span: Span, limit: Option<u32>) -> Page {
        let table = &self.live.table;
        let lacks = |index: &Index| {
            let asked = self.select.columns.attributes().unwrap_or_default();
            index.projection != Projection::All && asked.iter().any(|name| !table.is_in_index(index, name))
        };
        let select = match index {
            Some(index) if !lacks(index) => pages::Select::Projected,
            _ => pages::Select::All,
        };
        Page {
            live: self.live.clone(),
            index: index.map(|index| index.id),
            span,
            limit,
            select,
            filter: None,
            projection: None,
            is_consistent: self.is_consistent,
            wanted: self.wanted,
            table_name: self.select.source.table.clone(),
        }
    }
}
