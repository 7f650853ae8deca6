//! ExecuteStatement, BatchExecuteStatement, ExecuteTransaction: what `partiql` reads, carried out as the other operations are.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use cumulet_base::limits;
use cumulet_wire::error::ApiError;
use futures_util::future::join_all;
use serde_json::{Map, Value as Json, json};

use super::Request;
use super::items::{check_condition, updated};
use super::transact::{token_of, told};
use crate::Shared;
use crate::capacity::{self, Reading, Used, Wanted};
use crate::change::By;
use crate::errors;
use crate::expression::{Condition, KeyNames};
use crate::input::{self, Input, missing, place_of};
use crate::items::{Next, Written};
use crate::keys::{self, ItemKey};
use crate::model::{KeySchema, Place, Table};
use crate::pages::{Page, Select};
use crate::partiql::{self, Access, Change, Insert, Removal, Returning, Statement};
use crate::request::check_update;
use crate::storage::Span;
use crate::tables::Live;
use crate::transactions::Part;
use crate::value::{Item, Value, item_from_json, item_to_json};

const BATCH_MAX: usize = 25;
const STATEMENT_BYTES_MAX: usize = 8192;

/// `Statement` and `Parameters` of a request or of one of its parts.
fn statement_of(input: &Input<'_>) -> Result<Statement, ApiError> {
    let text = input.required_text("Statement")?;
    if text.is_empty() || text.len() > STATEMENT_BYTES_MAX {
        let text = "Member must have length greater than or equal to 1 and less than or equal to 8192";
        return Err(input::constraint("statement", None, text));
    }
    let given = input.list("Parameters")?.map_or(&[][..], Vec::as_slice);
    let parameters: Vec<Value> = given.iter().map(Value::from_json).collect::<Result<_, _>>()?;
    Ok(partiql::statement(text, &parameters)?)
}

/// Actions, tables and indexes that the statements of a request need permission for. One that cannot be read needs none:
/// it is refused.
pub(crate) fn needs(input: &Map<String, Json>) -> Vec<(&'static str, String, Option<String>)> {
    let whole = Json::Object(input.clone());
    let lists = ["Statements", "TransactStatements"].into_iter().filter_map(|member| whole[member].as_array());
    let parts = lists.flatten().chain(whole.get("Statement").map(|_| &whole));
    let need = |part: &Json| {
        let statement = statement_of(&Input(part)).ok()?;
        let (action, index) = match &statement {
            Statement::Select(select) | Statement::Exists(select) => ("PartiQLSelect", select.source.index.clone()),
            Statement::Insert(_) => ("PartiQLInsert", None),
            Statement::Update(_) => ("PartiQLUpdate", None),
            Statement::Delete(_) => ("PartiQLDelete", None),
        };
        Some((action, statement.table().to_owned(), index))
    };
    parts.filter_map(need).collect()
}

fn names(schema: &KeySchema) -> KeyNames<'_> {
    KeyNames { hash: &schema.hash.name, range: schema.range.as_ref().map(|range| range.name.as_str()) }
}

pub async fn execute(shared: &Arc<Shared>, request: &Request) -> Result<Json, ApiError> {
    let input = Input(&request.input);
    let wanted = Wanted::parse(input.text("ReturnConsumedCapacity")?)?;
    let statement = statement_of(&input)?;
    let place = place_of(&request.call, statement.table())?;
    match &statement {
        Statement::Select(select) => self::select(shared, &input, select, place, wanted).await,
        Statement::Exists(_) => Err(errors::invalid("EXISTS is only supported in transactions")),
        write => {
            let shows_old = input.text("ReturnValuesOnConditionCheckFailure")? == Some("ALL_OLD");
            let written = self::write(shared, write, place, shows_old).await?;
            let items: Vec<Json> = returned(write, &written).iter().map(item_to_json).collect();
            let mut answer = json!({"Items": items});
            if let Some(told) = capacity::told(&written.live.table, statement.table(), &written.used, wanted, true) {
                answer["ConsumedCapacity"] = told;
            }
            Ok(answer)
        }
    }
}

/// Which of several queries comes next, and where in it: `NextToken`.
fn token(query: usize, last: Option<&Item>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(json!([query, last.map(item_to_json)]).to_string())
}

fn position(token: &str) -> Option<(usize, Option<Item>)> {
    let json: Json = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let last = if json[1].is_null() { None } else { Some(item_from_json(&json[1]).ok()?) };
    Some((usize::try_from(json[0].as_u64()?).ok()?, last))
}

async fn select(
    shared: &Arc<Shared>,
    input: &Input<'_>,
    select: &partiql::Select,
    place: Place,
    wanted: Wanted,
) -> Result<Json, ApiError> {
    let live = shared.tables.active(&place).await?;
    let table = &live.table;
    let index = match &select.source.index {
        None => None,
        Some(name) => crate::pages::index_of(table, &Input(&json!({"IndexName": name})))?,
    };
    let is_consistent = input.is("ConsistentRead")?;
    crate::pages::check_consistency(index, is_consistent)?;
    let limit = crate::pages::limit_of(input)?;
    let schema = index.map_or(&table.key, |index| &index.key);
    let (access, filter) = partiql::several_items(select, names(schema))?;
    let id = index.map(|index| index.id);
    let spans: Vec<Span> = match access {
        Access::Scan => {
            let (lo, hi) = id.map_or_else(|| keys::items(table.rows), |id| keys::entries(table.rows, id));
            vec![Span { lo, hi, is_reverse: false }]
        }
        Access::Queries { keys: conditions, is_descending } => {
            let span = |condition| {
                let (lo, hi) = keys::condition(table.rows, id, &condition);
                Span { lo, hi, is_reverse: is_descending }
            };
            conditions.into_iter().map(span).collect()
        }
    };
    let bad = || errors::invalid("Invalid NextToken");
    let (mut query, mut start) = match input.text("NextToken")? {
        Some(token) => position(token).filter(|(query, _)| *query < spans.len()).ok_or_else(bad)?,
        None => (0, None),
    };
    let (mut items, mut used, mut scanned) = (Vec::new(), Used::default(), 0_u32);
    let next = loop {
        let Some(span) = spans.get(query) else { break None };
        let mut span = span.clone();
        if let Some(start) = start.take() {
            let given = json!({"ExclusiveStartKey": item_to_json(&start)});
            span.skip(&crate::pages::start_of(table, index, &Input(&given))?.ok_or_else(bad)?);
        }
        let left = limit.map(|limit| limit - scanned);
        let page = Page {
            live: live.clone(),
            index: id,
            span,
            limit: left,
            select: if index.is_some() { Select::Projected } else { Select::All },
            filter: filter.clone(),
            projection: None,
            is_consistent,
            wanted,
            table_name: place.name.clone(),
        };
        let found = shared.look(page).await?;
        used.add(&found.used);
        scanned = scanned.saturating_add(found.scanned as u32);
        items.extend(found.items.iter().map(|item| item_to_json(&select.columns.of(item))));
        if let Some(last) = found.last {
            break Some((query, Some(last)));
        }
        query += 1;
        if limit.is_some_and(|limit| scanned >= limit) && query < spans.len() {
            break Some((query, None));
        }
    };
    let mut answer = json!({"Items": items});
    if let Some((query, last)) = next {
        answer["NextToken"] = json!(token(query, last.as_ref()));
        if let Some(last) = last {
            answer["LastEvaluatedKey"] = item_to_json(&last);
        }
    }
    if let Some(told) = capacity::told(table, &select.source.table, &used, wanted, true) {
        answer["ConsumedCapacity"] = told;
    }
    Ok(answer)
}

/// A statement that writes one item, as a part of a transaction; by itself it is the only one.
fn part(statement: &Statement, place: Place, shows_old: bool) -> Result<Part, ApiError> {
    let table_name = statement.table().to_owned();
    match statement.clone() {
        Statement::Insert(Insert { item, .. }) => {
            let keyed = item.clone();
            let key = Box::new(move |table: &Table| {
                let key = input::key_of_item(table, &keyed)?;
                input::check_item(table, &keyed)?;
                Ok(key)
            });
            let decide = Box::new(move |_: &Table, old: Option<&Item>| match old {
                Some(_) => Err(errors::duplicate()),
                None => Ok(Next::Put(item.clone())),
            });
            Ok(Part { place, table_name, key, decide, shows_old })
        }
        Statement::Update(Change { update, filter, .. }) => {
            let (keyed, checked) = (filter.clone(), update.clone());
            let key = Box::new(move |table: &Table| {
                check_update(table, &checked)?;
                Ok(keyed_by(table, keyed.as_ref())?.0)
            });
            let decide = Box::new(move |table: &Table, old: Option<&Item>| {
                let (_, key, condition) = keyed_by(table, filter.as_ref())?;
                let Some(old) = old else { return Err(errors::condition()) };
                check_condition(condition.as_ref(), Some(old), shows_old)?;
                updated(table, Some(&update), &key, Some(old)).map(Next::Put)
            });
            Ok(Part { place, table_name, key, decide, shows_old })
        }
        Statement::Delete(Removal { filter, .. }) => {
            let keyed = filter.clone();
            let key = Box::new(move |table: &Table| Ok(keyed_by(table, keyed.as_ref())?.0));
            let decide = Box::new(move |table: &Table, old: Option<&Item>| {
                let (.., condition) = keyed_by(table, filter.as_ref())?;
                check_condition(condition.as_ref(), old, shows_old)?;
                Ok(Next::Delete)
            });
            Ok(Part { place, table_name, key, decide, shows_old })
        }
        Statement::Exists(select) => {
            let (keyed, filter) = (select.filter.clone(), select.filter);
            let key = Box::new(move |table: &Table| Ok(keyed_by(table, keyed.as_ref())?.0));
            let decide = Box::new(move |table: &Table, old: Option<&Item>| {
                let (.., condition) = keyed_by(table, filter.as_ref())?;
                let holds = old.is_some() && condition.is_none_or(|condition| condition.holds(old));
                if holds { Ok(Next::Keep) } else { Err(errors::condition()) }
            });
            Ok(Part { place, table_name, key, decide, shows_old })
        }
        Statement::Select(_) => Err(errors::invalid("Reads and writes cannot be combined in one request")),
    }
}

/// The one item a WHERE clause names, and what else it says.
fn keyed_by(
    table: &Table,
    filter: Option<&crate::expression::Test>,
) -> Result<(ItemKey, Item, Option<Condition>), ApiError> {
    let (key, condition) = partiql::one_item(filter, names(&table.key))?;
    Ok((input::key_of(table, &key)?, key, condition))
}

async fn write(
    shared: &Arc<Shared>,
    statement: &Statement,
    place: Place,
    shows_old: bool,
) -> Result<Written, ApiError> {
    let part = part(statement, place, shows_old)?;
    shared.write(&part.place, By::Caller, part.key, part.decide).await
}

/// What `RETURNING` asks for.
fn returned(statement: &Statement, written: &Written) -> Option<Item> {
    let item = match statement {
        Statement::Update(Change { update, returning, .. }) => match returning {
            Some(Returning::AllOld) => written.old.clone(),
            Some(Returning::AllNew) => written.new.clone(),
            Some(Returning::ModifiedOld) => written.old.as_ref().map(|old| update.updated_old(old)),
            Some(Returning::ModifiedNew) => written.new.as_ref().map(|new| update.updated_new(new)),
            None => None,
        },
        Statement::Delete(Removal { returns_old: true, .. }) => written.old.clone(),
        _ => None,
    };
    item.filter(|item| !item.is_empty())
}

async fn read(
    shared: &Arc<Shared>,
    select: &partiql::Select,
    place: &Place,
    is_consistent: bool,
) -> Result<(Arc<Live>, Option<Item>, Used), ApiError> {
    let live = shared.tables.active(place).await?;
    let (key, _, condition) = keyed_by(&live.table, select.filter.as_ref())?;
    let (item, used) = shared.read(&live, &key, Reading::of(is_consistent)).await?;
    let item = item.filter(|item| condition.is_none_or(|condition| condition.holds(Some(item))));
    Ok((live, item.map(|item| select.columns.of(&item)), used))
}

pub async fn batch(shared: &Arc<Shared>, request: &Request) -> Result<Json, ApiError> {
    let input = Input(&request.input);
    let wanted = Wanted::parse(input.text("ReturnConsumedCapacity")?)?;
    let list = input.list("Statements")?.ok_or_else(|| missing("Statements"))?;
    if list.is_empty() || list.len() > BATCH_MAX {
        let text = "Member must have length greater than or equal to 1 and less than or equal to 25";
        return Err(input::constraint("statements", Some("[...]"), text));
    }
    let statements: Vec<Result<Statement, ApiError>> = list.iter().map(|one| statement_of(&Input(one))).collect();
    let is_read = |statement: &Statement| matches!(statement, Statement::Select(_));
    let mut sound = statements.iter().flatten().map(is_read);
    if let Some(first) = sound.next()
        && sound.any(|other| other != first)
    {
        return Err(errors::invalid("BatchExecuteStatement cannot combine reads and writes"));
    }
    let running = list.iter().zip(statements).map(|(one, statement)| async move {
        let statement = statement?;
        let given = Input(one);
        let place = place_of(&request.call, statement.table())?;
        let name = statement.table().to_owned();
        match &statement {
            Statement::Select(select) => {
                let (live, item, used) = read(shared, select, &place, given.is("ConsistentRead")?).await?;
                Ok((live, name, item, used))
            }
            write => {
                let shows_old = given.text("ReturnValuesOnConditionCheckFailure")? == Some("ALL_OLD");
                let written = self::write(shared, write, place, shows_old).await?;
                let item = returned(write, &written);
                Ok((written.live, name, item, written.used))
            }
        }
    });
    let mut used = Vec::new();
    let mut responses = Vec::new();
    for ended in join_all(running).await {
        responses.push(match ended {
            Ok((live, name, item, one)) => {
                let mut response = json!({"TableName": name});
                if let Some(item) = item {
                    response["Item"] = item_to_json(&item);
                }
                used.push((live, name, one));
                response
            }
            Err(error) => json!({"Error": failed(&error)}),
        });
    }
    let mut answer = json!({"Responses": responses});
    if wanted != Wanted::None {
        answer["ConsumedCapacity"] = told(used, wanted);
    }
    Ok(answer)
}

/// `BatchStatementError`, whose codes are the exceptions' without their ending.
fn failed(error: &ApiError) -> Json {
    let code = match error.code.as_str() {
        "ValidationException" | "SerializationException" => "ValidationError",
        other => other.strip_suffix("Exception").unwrap_or(other),
    };
    let mut shown = json!({"Code": code, "Message": error.message});
    if let Some(item) = error.fields.get("Item") {
        shown["Item"] = item.clone();
    }
    shown
}

pub async fn transaction(shared: &Arc<Shared>, request: &Request) -> Result<Json, ApiError> {
    let input = Input(&request.input);
    let wanted = Wanted::parse(input.text("ReturnConsumedCapacity")?)?;
    let list = input.list("TransactStatements")?.ok_or_else(|| missing("TransactStatements"))?;
    if list.is_empty() || list.len() > limits::TABLE_TRANSACTION_ITEMS_MAX {
        let text = "Member must have length greater than or equal to 1 and less than or equal to 100";
        return Err(input::constraint("transactStatements", Some("[...]"), text));
    }
    let statements: Vec<Statement> = list.iter().map(|one| statement_of(&Input(one))).collect::<Result<_, _>>()?;
    if let Some(returning) = statements.iter().find(|statement| statement.has_returning()) {
        let text = format!("RETURNING is not supported in transactions: {}", returning.table());
        return Err(errors::invalid(text));
    }
    let reads = statements.iter().filter(|statement| matches!(statement, Statement::Select(_))).count();
    let (responses, used) = if reads == statements.len() {
        transact_get(shared, request, &statements).await?
    } else {
        let part = |(statement, one): (&Statement, &Json)| {
            let shows_old = Input(one).text("ReturnValuesOnConditionCheckFailure")? == Some("ALL_OLD");
            part(statement, place_of(&request.call, statement.table())?, shows_old)
        };
        let parts: Vec<Part> = statements.iter().zip(list).map(part).collect::<Result<_, _>>()?;
        let token = token_of(&input, request, list)?;
        let (_, used) = shared.transact(&parts, token.as_ref()).await?;
        (vec![json!({}); parts.len()], used)
    };
    let mut answer = json!({"Responses": responses});
    if wanted != Wanted::None {
        answer["ConsumedCapacity"] = told(used, wanted);
    }
    Ok(answer)
}

type Gotten = (Vec<Json>, Vec<(Arc<Live>, String, Used)>);

async fn transact_get(shared: &Arc<Shared>, request: &Request, statements: &[Statement]) -> Result<Gotten, ApiError> {
    let mut wanted = Vec::new();
    let mut selects = Vec::new();
    for statement in statements {
        let Statement::Select(select) = statement else { continue };
        let place = place_of(&request.call, statement.table())?;
        let live = shared.tables.active(&place).await?;
        let (key, _, condition) = keyed_by(&live.table, select.filter.as_ref())?;
        wanted.push((place, key));
        selects.push((select, condition));
    }
    let (mut responses, mut used) = (Vec::new(), Vec::new());
    for ((live, item), (select, condition)) in shared.transact_get(&wanted).await?.into_iter().zip(selects) {
        let bytes = item.as_ref().map_or(0, crate::value::item_size_bytes);
        let one = Used::reading(Reading::Transactional.half_units(bytes));
        shared.settle(&live, &one);
        used.push((live, select.source.table.clone(), one));
        let item = item.filter(|item| condition.is_none_or(|condition| condition.holds(Some(item))));
        let shown = item.map(|item| json!({"Item": item_to_json(&select.columns.of(&item))}));
        responses.push(shown.unwrap_or_else(|| json!({})));
    }
    Ok((responses, used))
}
