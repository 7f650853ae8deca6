//! The grammar of PartiQL statements, by recursive descent. The messages are AWS's, as its users have recorded them.

mod condition;
mod literal;

use std::sync::Arc;

use cumulet_base::limits;

use super::token::{Kind, Token, tokens};
use super::{Change, Column, Columns, Insert, OrderKey, Removal, Returning, Select, Source, Statement};
use crate::expression::{Action, Path, SetValue, Source as Operand, Step, Test, Update};
use crate::value::{Invalid, Value};

/// Words that cannot stand where a name is expected, unless they are quoted.
#[rustfmt::skip]
const KEYWORDS: &[&str] = &[
    "AND", "AS", "ASC", "BETWEEN", "BY", "CROSS", "DELETE", "DESC", "EXISTS", "FALSE", "FROM", "FULL", "GROUP", "HAVING",
    "IN", "INNER", "INSERT", "INTO", "IS", "JOIN", "LEFT", "LIKE", "LIMIT", "MISSING", "NOT", "NULL", "ON", "OR", "ORDER",
    "OUTER", "PIVOT", "REMOVE", "RETURNING", "RIGHT", "SELECT", "SET", "TRUE", "UNION", "UNPIVOT", "UPDATE", "VALUE",
    "VALUES", "WHERE",
];
/// Those of them that are operators, which AWS tells apart.
const OPERATORS: &[&str] = &["AND", "BETWEEN", "IN", "IS", "LIKE", "OR"];

/// Reads a statement; each `?` is the next of the parameters.
pub fn statement(text: &str, parameters: &[Value]) -> Result<Statement, Invalid> {
    let tokens = tokens(text).ok_or_else(|| malformed(""))?;
    let mut parser = Parser { text, tokens, at: 0, depth: 0, parameters: parameters.iter(), too_few: false };
    let statement = parser.statement().and_then(|statement| parser.end().map(|()| statement));
    if parser.too_few || (statement.is_ok() && parser.parameters.next().is_some()) {
        return Err(Invalid::new("Number of parameters in request and statement don't match."));
    }
    statement
}

fn malformed(detail: &str) -> Invalid {
    Invalid::new(format!("Statement wasn't well formed, can't be processed: {detail}"))
}

fn unsupported(what: &str) -> Invalid {
    Invalid::new(format!("Unsupported operation: {what}"))
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token<'a>>,
    at: usize,
    depth: usize,
    parameters: std::slice::Iter<'a, Value>,
    too_few: bool,
}

impl<'a> Parser<'a> {
    fn token(&self) -> &Token<'a> {
        &self.tokens[self.at]
    }

    /// The last token stays.
    fn advance(&mut self) {
        self.at = (self.at + 1).min(self.tokens.len() - 1);
    }

    fn is_symbol(&self, symbol: &str) -> bool {
        let token = self.token();
        token.kind == Kind::Symbol && token.text == symbol
    }

    fn is_word(&self, word: &str) -> bool {
        let token = self.token();
        token.kind == Kind::Word && token.text.eq_ignore_ascii_case(word)
    }

    fn is_one_of(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.is_word(word))
    }

    fn eat(&mut self, symbol: &str) -> bool {
        let is_there = self.is_symbol(symbol);
        if is_there {
            self.advance();
        }
        is_there
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let is_there = self.is_word(word);
        if is_there {
            self.advance();
        }
        is_there
    }

    fn expect(&mut self, symbol: &str) -> Result<(), Invalid> {
        if self.eat(symbol) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn expect_word(&mut self, word: &str) -> Result<(), Invalid> {
        if self.eat_word(word) { Ok(()) } else { Err(self.unexpected()) }
    }

    /// The present token cannot begin what is expected here.
    fn unexpected(&self) -> Invalid {
        if self.is_one_of(OPERATORS) {
            return malformed("Unexpected operator");
        }
        if self.is_one_of(KEYWORDS) {
            return malformed("Unexpected keyword");
        }
        malformed("Unexpected term")
    }

    /// Where a token stands, as AWS's messages tell it: line, column and length, counted in characters.
    fn place(&self, at: usize) -> String {
        let token = &self.tokens[at];
        let before = &self.text[..token.start];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!("{line}:{column}:{}", token.text.chars().count())
    }

    /// Whether a call of a function begins here: a word that is no keyword before a parenthesis.
    fn is_any_call(&self) -> bool {
        let is_word = self.token().kind == Kind::Word && !self.is_one_of(KEYWORDS);
        is_word && self.tokens.get(self.at + 1).is_some_and(|next| next.text == "(")
    }

    fn end(&mut self) -> Result<(), Invalid> {
        self.eat(";");
        if self.token().kind == Kind::End { Ok(()) } else { Err(malformed("Unexpected token after expression")) }
    }

    /// Runs a rule one level deeper.
    fn deeper<T>(&mut self, rule: impl FnOnce(&mut Self) -> Result<T, Invalid>) -> Result<T, Invalid> {
        if self.depth >= limits::DYNAMODB_EXPRESSION_DEPTH_MAX {
            return Err(malformed("Statement is nested too deep"));
        }
        self.depth += 1;
        let result = rule(self);
        self.depth -= 1;
        result
    }

    fn statement(&mut self) -> Result<Statement, Invalid> {
        if self.eat_word("SELECT") {
            return self.select().map(Statement::Select);
        }
        if self.eat_word("INSERT") {
            return self.insert().map(Statement::Insert);
        }
        if self.eat_word("UPDATE") {
            let table = self.table()?;
            let actions = self.actions()?;
            let filter = self.filter()?;
            return self.change(table, actions, filter);
        }
        if self.eat_word("FROM") {
            let table = self.table()?;
            let filter = self.filter()?;
            let actions = self.actions()?;
            return self.change(table, actions, filter);
        }
        if self.eat_word("DELETE") {
            return self.delete().map(Statement::Delete);
        }
        if self.eat_word("EXISTS") {
            self.expect("(")?;
            self.expect_word("SELECT")?;
            let select = self.select()?;
            self.expect(")")?;
            return Ok(Statement::Exists(select));
        }
        Err(malformed("Expected data manipulation"))
    }

    fn select(&mut self) -> Result<Select, Invalid> {
        let columns = self.columns()?;
        if !self.eat_word("FROM") {
            return Err(unsupported("Select without From"));
        }
        if !matches!(self.token().kind, Kind::Word | Kind::Quoted(_)) || self.is_one_of(KEYWORDS) {
            return Err(self.unexpected());
        }
        let source = self.source()?;
        let filter = self.filter()?;
        let order = self.order()?;
        Ok(Select { columns, source, filter, order })
    }

    fn columns(&mut self) -> Result<Columns, Invalid> {
        if self.eat("*") {
            return Ok(Columns::All);
        }
        let mut columns = Vec::new();
        loop {
            if self.is_word("VALUE") {
                return Err(unsupported("SelectValue"));
            }
            if self.is_any_call() {
                return Err(Invalid::new(format!("Unexpected path component at {}", self.place(self.at))));
            }
            let path = self.path()?;
            let name = match path.steps().last() {
                None => path.head().to_owned(),
                Some(Step::Name(name)) => name.as_ref().to_owned(),
                Some(Step::Index(_)) => format!("_{}", columns.len() + 1),
            };
            columns.push(Column { path, name });
            if self.is_word("AS") {
                return Err(Invalid::new("Aliasing is not supported"));
            }
            if !self.eat(",") {
                return Ok(Columns::Some(columns));
            }
        }
    }

    /// The name of a table, and of an index of it.
    fn source(&mut self) -> Result<Source, Invalid> {
        let mut parts = vec![self.name()?];
        while self.eat(".") {
            parts.push(self.name()?);
        }
        if parts.len() > 2 {
            return Err(Invalid::new("A path may contain at most 2 components in the FROM clause"));
        }
        if parts.iter().any(String::is_empty) {
            return Err(Invalid::new("Path component cannot be an empty string"));
        }
        let is_alias = matches!(self.token().kind, Kind::Word | Kind::Quoted(_)) && !self.is_one_of(KEYWORDS);
        if is_alias || self.is_word("AS") {
            return Err(Invalid::new("Aliasing is not supported"));
        }
        let mut parts = parts.into_iter();
        Ok(Source { table: parts.next().unwrap_or_default(), index: parts.next() })
    }

    /// A source that is written to, which cannot be an index.
    fn table(&mut self) -> Result<String, Invalid> {
        if !matches!(self.token().kind, Kind::Word | Kind::Quoted(_)) || self.is_one_of(KEYWORDS) {
            return Err(malformed("Expected identifier for simple path"));
        }
        let source = self.source()?;
        match source.index {
            None => Ok(source.table),
            Some(_) => Err(Invalid::new("Only a table can be written to, not an index")),
        }
    }

    fn name(&mut self) -> Result<String, Invalid> {
        let name = match &self.token().kind {
            Kind::Quoted(name) => name.clone(),
            Kind::Word if !self.is_one_of(KEYWORDS) => self.token().text.to_owned(),
            _ => return Err(self.unexpected()),
        };
        self.advance();
        Ok(name)
    }

    /// A document path: `a.b[3]`, `a['b']`, `"a"."b"`.
    fn path(&mut self) -> Result<Path, Invalid> {
        let head = self.name()?;
        let mut steps = Vec::new();
        loop {
            if self.eat(".") {
                if self.is_one_of(KEYWORDS) {
                    return Err(malformed("Invalid path dot component"));
                }
                steps.push(Step::Name(self.name()?.into()));
            } else if self.eat("[") {
                let step = match (&self.token().kind, self.token().text) {
                    (Kind::Number, text) => {
                        let index = text.parse().ok().filter(|index: &u32| i32::try_from(*index).is_ok());
                        let range = || format!("List index is not within the allowable range; index: [{text}]");
                        Step::Index(index.ok_or_else(|| Invalid::new(range()))?)
                    }
                    (Kind::Text(name), _) => Step::Name(name.as_str().into()),
                    _ => return Err(self.unexpected()),
                };
                self.advance();
                self.expect("]")?;
                steps.push(step);
            } else {
                break;
            }
            if steps.len() >= limits::DYNAMODB_NESTING_MAX {
                let levels = steps.len() + 1;
                return Err(Invalid::new(format!(
                    "The document path has too many nesting elements; nesting levels: {levels}"
                )));
            }
        }
        if head.is_empty() || steps.contains(&Step::Name("".into())) {
            return Err(Invalid::new("Path component cannot be an empty string"));
        }
        Ok(Path::new(head, steps))
    }

    fn filter(&mut self) -> Result<Option<Test>, Invalid> {
        if !self.eat_word("WHERE") {
            return Ok(None);
        }
        let test = self.condition()?;
        test.check().map_err(Invalid::new)?;
        Ok(Some(test))
    }

    fn order(&mut self) -> Result<Vec<OrderKey>, Invalid> {
        let mut keys = Vec::new();
        if !self.eat_word("ORDER") {
            return Ok(keys);
        }
        self.expect_word("BY")?;
        loop {
            let name = self.name()?;
            let is_descending = self.eat_word("DESC");
            if !is_descending {
                self.eat_word("ASC");
            }
            keys.push(OrderKey { name, is_descending });
            if !self.eat(",") {
                return Ok(keys);
            }
        }
    }

    fn insert(&mut self) -> Result<Insert, Invalid> {
        self.expect_word("INTO")?;
        if !matches!(self.token().kind, Kind::Word | Kind::Quoted(_)) || self.is_one_of(KEYWORDS) {
            return Err(malformed("Expected identifier for simple path"));
        }
        let table = self.name()?;
        if table.is_empty() {
            return Err(Invalid::new("Path component cannot be an empty string"));
        }
        if !self.eat_word("VALUE") {
            return Err(if matches!(self.token().kind, Kind::Word | Kind::Quoted(_)) && !self.is_one_of(KEYWORDS) {
                malformed("Unexpected token after expression")
            } else {
                malformed("Expected VALUE")
            });
        }
        match self.literal()? {
            Value::M(item) => Ok(Insert { table, item }),
            _ => Err(Invalid::new("Expecting a Map as the value of an INSERT statement")),
        }
    }

    fn delete(&mut self) -> Result<Removal, Invalid> {
        self.expect_word("FROM")?;
        let table = self.table()?;
        let filter = self.filter()?;
        let returning = self.returning()?;
        match returning {
            None | Some(Returning::AllOld) => Ok(Removal { table, filter, returns_old: returning.is_some() }),
            Some(other) => Err(Invalid::new(format!(
                "Invalid returning clause: RETURNING {} *. Only RETURNING ALL OLD * is allowed in DELETE statements.",
                other.text()
            ))),
        }
    }

    fn change(&mut self, table: String, actions: Vec<Action>, filter: Option<Test>) -> Result<Statement, Invalid> {
        let returning = self.returning()?;
        let update = Update::checked(actions).map_err(Invalid::new)?;
        Ok(Statement::Update(Change { table, update, filter, returning }))
    }

    fn returning(&mut self) -> Result<Option<Returning>, Invalid> {
        if !self.eat_word("RETURNING") {
            return Ok(None);
        }
        let is_all = self.eat_word("ALL");
        if !is_all && !self.eat_word("MODIFIED") {
            return Err(malformed("Expected ALL or MODIFIED in RETURNING clause"));
        }
        let is_old = self.eat_word("OLD");
        if !is_old && !self.eat_word("NEW") {
            return Err(malformed("Expected OLD or NEW in RETURNING clause"));
        }
        self.expect("*")?;
        Ok(Some(match (is_all, is_old) {
            (true, true) => Returning::AllOld,
            (true, false) => Returning::AllNew,
            (false, true) => Returning::ModifiedOld,
            (false, false) => Returning::ModifiedNew,
        }))
    }

    /// One or more of `SET path = value, …` and `REMOVE path, …`.
    fn actions(&mut self) -> Result<Vec<Action>, Invalid> {
        let mut actions = Vec::new();
        loop {
            if self.eat_word("SET") {
                actions.push(self.assignment()?);
                while self.eat(",") {
                    actions.push(self.assignment()?);
                }
            } else if self.eat_word("REMOVE") {
                actions.push(Action::Remove(self.path()?));
                while self.eat(",") {
                    actions.push(Action::Remove(self.path()?));
                }
            } else if actions.is_empty() {
                return Err(malformed("Expected data manipulation"));
            } else {
                return Ok(actions);
            }
        }
    }

    fn assignment(&mut self) -> Result<Action, Invalid> {
        let target = self.path()?;
        self.expect("=")?;
        if let Some(action) = self.set_function(&target)? {
            return Ok(action);
        }
        let left = self.set_operand()?;
        if self.eat("+") {
            return Ok(Action::Set(target, SetValue::Sum(left, self.set_operand()?)));
        }
        if self.eat("-") {
            return Ok(Action::Set(target, SetValue::Difference(left, self.set_operand()?)));
        }
        Ok(Action::Set(target, SetValue::Operand(left)))
    }

    /// `set_add(path, set)` and `set_delete(path, set)` of the path that is set.
    fn set_function(&mut self, target: &Path) -> Result<Option<Action>, Invalid> {
        let is_add = self.is_call("SET_ADD");
        if !is_add && !self.is_call("SET_DELETE") {
            return Ok(None);
        }
        let name = if is_add { "SET_ADD" } else { "SET_DELETE" };
        let refused = |what: &str, place: String| Err(Invalid::new(format!("{what} at {place}")));
        let function = self.place(self.at);
        self.advance();
        self.advance();
        let first_place = self.place(self.at);
        let mut operands = vec![self.set_operand()?];
        while self.eat(",") {
            operands.push(self.set_operand()?);
        }
        self.expect(")")?;
        let Ok([first, second]) = <[Operand; 2]>::try_from(operands) else {
            return refused(&format!("{name} must have exactly two arguments"), function);
        };
        if first != Operand::Path(target.clone()) {
            return refused(&format!("The first argument to {name} must equal the assignment value"), function);
        }
        match second {
            Operand::Value(set) if matches!(*set, Value::Ss(_) | Value::Ns(_) | Value::Bs(_)) => {
                let target = target.clone();
                Ok(Some(if is_add { Action::Add(target, set) } else { Action::Delete(target, set) }))
            }
            _ => refused(&format!("The second argument to {name} must be a value with type SET"), first_place),
        }
    }

    /// Whether a call of a function of this name begins here.
    fn is_call(&self, name: &str) -> bool {
        self.is_word(name) && self.tokens.get(self.at + 1).is_some_and(|next| next.text == "(")
    }

    fn set_operand(&mut self) -> Result<Operand, Invalid> {
        if self.is_call("LIST_APPEND") {
            self.advance();
            self.advance();
            let first = self.deeper(Parser::set_operand)?;
            self.expect(",")?;
            let second = self.deeper(Parser::set_operand)?;
            self.expect(")")?;
            return Ok(Operand::ListAppend(Box::new(first), Box::new(second)));
        }
        if self.is_call("IF_NOT_EXISTS") {
            self.advance();
            self.advance();
            let path = self.path()?;
            self.expect(",")?;
            let otherwise = self.deeper(Parser::set_operand)?;
            self.expect(")")?;
            return Ok(Operand::IfNotExists(path, Box::new(otherwise)));
        }
        if self.eat("(") {
            let inner = self.deeper(Parser::set_operand)?;
            self.expect(")")?;
            return Ok(inner);
        }
        match self.try_literal()? {
            Some(value) => Ok(Operand::Value(Arc::new(value))),
            None => self.path().map(Operand::Path),
        }
    }
}

impl Returning {
    fn text(self) -> &'static str {
        match self {
            Returning::AllOld => "ALL OLD",
            Returning::ModifiedOld => "MODIFIED OLD",
            Returning::AllNew => "ALL NEW",
            Returning::ModifiedNew => "MODIFIED NEW",
        }
    }
}
