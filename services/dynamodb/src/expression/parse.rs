//! The grammar of all expressions, by recursive descent: what is written, with names not yet looked up.
//! Source: the grammars in "Comparison operator and function reference" and "Update expressions" of the DynamoDB
//! Developer Guide. Every error here is AWS's "Syntax error", or a bound.

use cumulet_base::limits;

use super::token::{Kind, Token, tokens};

pub enum RawStep {
    Name(String),
    Alias(String),
    Index(u32),
}

pub type RawPath = Vec<RawStep>;

pub enum Raw {
    Path(RawPath),
    Value(String),
    Call(RawCall),
}

pub struct RawCall {
    pub name: String,
    pub operands: Vec<Raw>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparator {
    pub fn of(text: &str) -> Option<Comparator> {
        Some(match text {
            "=" => Comparator::Equal,
            "<>" => Comparator::NotEqual,
            "<" => Comparator::Less,
            "<=" => Comparator::LessOrEqual,
            ">" => Comparator::Greater,
            ">=" => Comparator::GreaterOrEqual,
            _ => return None,
        })
    }

    pub fn text(self) -> &'static str {
        match self {
            Comparator::Equal => "=",
            Comparator::NotEqual => "<>",
            Comparator::Less => "<",
            Comparator::LessOrEqual => "<=",
            Comparator::Greater => ">",
            Comparator::GreaterOrEqual => ">=",
        }
    }

    /// The same comparison with its operands changed over.
    #[must_use]
    pub fn mirrored(self) -> Comparator {
        match self {
            Comparator::Less => Comparator::Greater,
            Comparator::LessOrEqual => Comparator::GreaterOrEqual,
            Comparator::Greater => Comparator::Less,
            Comparator::GreaterOrEqual => Comparator::LessOrEqual,
            same => same,
        }
    }
}

pub enum RawCondition {
    And(Vec<RawCondition>),
    Or(Vec<RawCondition>),
    Not(Box<RawCondition>),
    Compare(Comparator, Raw, Raw),
    Between(Raw, Raw, Raw),
    In(Raw, Vec<Raw>),
    Call(RawCall),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    Set,
    Remove,
    Add,
    Delete,
}

impl Section {
    pub fn name(self) -> &'static str {
        match self {
            Section::Set => "SET",
            Section::Remove => "REMOVE",
            Section::Add => "ADD",
            Section::Delete => "DELETE",
        }
    }

    fn of(token: &Token<'_>) -> Option<Section> {
        let sections = [Section::Set, Section::Remove, Section::Add, Section::Delete];
        sections.into_iter().find(|section| is_word(token, section.name()))
    }
}

pub enum RawSet {
    Operand(Raw),
    Sum(Raw, Raw),
    Difference(Raw, Raw),
}

pub enum RawAction {
    Set(RawPath, RawSet),
    Remove(RawPath),
    Add(RawPath, String),
    Delete(RawPath, String),
}

/// What a condition is written as, and whether parentheses stand around parentheses.
pub struct ParsedCondition {
    pub condition: RawCondition,
    pub has_redundant_parentheses: bool,
}

/// An expression as a condition.
pub fn condition(source: &str) -> Result<ParsedCondition, String> {
    let mut parser = Parser::new(source, Grammar::Condition)?;
    let node = parser.any()?;
    let condition = parser.settled(node)?;
    parser.end()?;
    Ok(ParsedCondition { condition, has_redundant_parentheses: parser.has_redundant_parentheses })
}

/// An expression as sections of an update.
pub fn update(source: &str) -> Result<Vec<(Section, Vec<RawAction>)>, String> {
    let mut parser = Parser::new(source, Grammar::Update)?;
    let mut sections = Vec::new();
    while let Some(section) = Section::of(&parser.token()) {
        parser.advance();
        let mut actions = vec![parser.action(section)?];
        while parser.eat(",") {
            actions.push(parser.action(section)?);
        }
        sections.push((section, actions));
    }
    if sections.is_empty() {
        return Err(parser.unexpected());
    }
    parser.end()?;
    Ok(sections)
}

/// An expression as a list of paths.
pub fn projection(source: &str) -> Result<Vec<RawPath>, String> {
    let mut parser = Parser::new(source, Grammar::Projection)?;
    let mut paths = vec![parser.path()?];
    while parser.eat(",") {
        paths.push(parser.path()?);
    }
    parser.end()?;
    Ok(paths)
}

fn is_word(token: &Token<'_>, word: &str) -> bool {
    token.kind == Kind::Name && token.text.eq_ignore_ascii_case(word)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Grammar {
    Condition,
    Update,
    Projection,
}

impl Grammar {
    /// Words of the grammar, which cannot be names in it.
    fn words(self) -> &'static [&'static str] {
        match self {
            Grammar::Condition => &["AND", "OR", "NOT", "BETWEEN", "IN"],
            Grammar::Update => &["SET", "REMOVE", "ADD", "DELETE"],
            Grammar::Projection => &[],
        }
    }
}

struct Parser<'a> {
    source: &'a str,
    tokens: Vec<Token<'a>>,
    at: usize,
    grammar: Grammar,
    depth: usize,
    operators: usize,
    has_redundant_parentheses: bool,
}

/// What stands where both an operand and a condition may, such as in parentheses.
enum Node {
    Operand(Raw),
    Condition(RawCondition),
    /// Parentheses around one of the two.
    Grouped(Box<Node>),
}

impl<'a> Parser<'a> {
    fn new(source: &'a str, grammar: Grammar) -> Result<Parser<'a>, String> {
        if source.is_empty() {
            return Err("The expression can not be empty;".to_owned());
        }
        if source.len() > limits::DYNAMODB_EXPRESSION_BYTES_MAX {
            return Err(format!(
                "Expression size has exceeded the maximum allowed size; expression size: {}",
                source.len()
            ));
        }
        let tokens = tokens(source);
        Ok(Parser { source, tokens, at: 0, grammar, depth: 0, operators: 0, has_redundant_parentheses: false })
    }

    fn token(&self) -> Token<'a> {
        self.tokens[self.at]
    }

    /// The last token stays.
    fn advance(&mut self) {
        self.at = (self.at + 1).min(self.tokens.len() - 1);
    }

    fn eat(&mut self, symbol: &str) -> bool {
        let token = self.token();
        let is_there = token.kind == Kind::Symbol && token.text == symbol;
        if is_there {
            self.advance();
        }
        is_there
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let is_there = is_word(&self.token(), word);
        if is_there {
            self.advance();
        }
        is_there
    }

    fn expect(&mut self, symbol: &str) -> Result<(), String> {
        if self.eat(symbol) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn end(&self) -> Result<(), String> {
        if self.token().kind == Kind::End { Ok(()) } else { Err(self.unexpected()) }
    }

    /// The present token is wrong here. AWS shows it with its neighbours.
    fn unexpected(&self) -> String {
        let token = self.token();
        let before = &self.tokens[self.at.saturating_sub(1)];
        let after = &self.tokens[(self.at + 1).min(self.tokens.len() - 1)];
        let until = match (token.kind, after.kind) {
            (Kind::End, _) => before.end(),
            (_, Kind::End) => token.end(),
            _ => after.end(),
        };
        let near = self.source.get(before.start..until).unwrap_or_default();
        let shown = if token.kind == Kind::End { "<EOF>" } else { token.text };
        format!("Syntax error; token: \"{shown}\", near: \"{near}\"")
    }

    /// Counts an operator or a function.
    fn operator(&mut self) -> Result<(), String> {
        self.operators += 1;
        if self.operators > limits::DYNAMODB_EXPRESSION_OPERATORS_MAX {
            return Err(format!("The expression contains too many operators; operator count: {}", self.operators));
        }
        Ok(())
    }

    /// Runs a rule one level deeper.
    fn deeper<T>(&mut self, rule: impl FnOnce(&mut Self) -> Result<T, String>) -> Result<T, String> {
        if self.depth >= limits::DYNAMODB_EXPRESSION_DEPTH_MAX {
            return Err(format!(
                "The expression is nested too deep; nesting levels: {}",
                limits::DYNAMODB_EXPRESSION_DEPTH_MAX + 1
            ));
        }
        self.depth += 1;
        let result = rule(self);
        self.depth -= 1;
        result
    }

    /// A name that is no word of the grammar.
    fn name(&mut self) -> Option<&'a str> {
        let token = self.token();
        let is_name = token.kind == Kind::Name && !self.grammar.words().iter().any(|word| is_word(&token, word));
        is_name.then(|| {
            self.advance();
            token.text
        })
    }

    fn path(&mut self) -> Result<RawPath, String> {
        let mut path = vec![self.path_name()?];
        self.path_rest(&mut path)?;
        Ok(path)
    }

    fn path_name(&mut self) -> Result<RawStep, String> {
        let token = self.token();
        if token.kind == Kind::Alias {
            self.advance();
            return Ok(RawStep::Alias(token.text.to_owned()));
        }
        match self.name() {
            Some(name) => Ok(RawStep::Name(name.to_owned())),
            None => Err(self.unexpected()),
        }
    }

    fn path_rest(&mut self, path: &mut RawPath) -> Result<(), String> {
        loop {
            if self.eat(".") {
                path.push(self.path_name()?);
            } else if self.eat("[") {
                let token = self.token();
                if token.kind != Kind::Digits {
                    return Err(self.unexpected());
                }
                self.advance();
                self.expect("]")?;
                let index = token.text.parse().ok().filter(|index: &u32| i32::try_from(*index).is_ok());
                let Some(index) = index else {
                    return Err(format!("List index is not within the allowable range; index: [{}]", token.text));
                };
                path.push(RawStep::Index(index));
            } else {
                return Ok(());
            }
            if path.len() > limits::DYNAMODB_NESTING_MAX {
                return Err(format!("The document path has too many nesting elements; nesting levels: {}", path.len()));
            }
        }
    }

    /// A value, a path or a call of a function; parentheses only around operands of conditions.
    fn operand(&mut self) -> Result<Raw, String> {
        let token = self.token();
        if token.kind == Kind::Value {
            self.advance();
            return Ok(Raw::Value(token.text.to_owned()));
        }
        let is_call = token.kind == Kind::Name && self.tokens.get(self.at + 1).is_some_and(|next| next.text == "(");
        if is_call && let Some(name) = self.name() {
            self.operator()?;
            self.advance();
            let operands = self.deeper(Parser::operands)?;
            return Ok(Raw::Call(RawCall { name: name.to_owned(), operands }));
        }
        self.path().map(Raw::Path)
    }

    /// Operands up to and with the closing parenthesis.
    fn operands(&mut self) -> Result<Vec<Raw>, String> {
        let mut operands = vec![self.grouped_operand()?];
        while self.eat(",") {
            operands.push(self.grouped_operand()?);
        }
        self.expect(")")?;
        Ok(operands)
    }

    fn grouped_operand(&mut self) -> Result<Raw, String> {
        if !self.eat("(") {
            return self.operand();
        }
        self.has_redundant_parentheses |= self.token().text == "(";
        let inner = self.deeper(Parser::grouped_operand)?;
        self.expect(")")?;
        self.continued(inner)
    }

    /// Parentheses may stand around the beginning of a path in conditions.
    fn continued(&mut self, operand: Raw) -> Result<Raw, String> {
        match operand {
            Raw::Path(mut path) if self.grammar == Grammar::Condition => {
                self.path_rest(&mut path)?;
                Ok(Raw::Path(path))
            }
            other => Ok(other),
        }
    }
}

/// Conditions. `OR` binds least, then `AND`, then `NOT`.
impl Parser<'_> {
    fn any(&mut self) -> Result<Node, String> {
        let first = self.all()?;
        if !is_word(&self.token(), "OR") {
            return Ok(first);
        }
        let mut tests = vec![self.settled(first)?];
        while self.eat_word("OR") {
            self.operator()?;
            let next = self.all()?;
            tests.push(self.settled(next)?);
        }
        Ok(Node::Condition(RawCondition::Or(tests)))
    }

    fn all(&mut self) -> Result<Node, String> {
        let first = self.negation()?;
        if !is_word(&self.token(), "AND") {
            return Ok(first);
        }
        let mut tests = vec![self.settled(first)?];
        while self.eat_word("AND") {
            self.operator()?;
            let next = self.negation()?;
            tests.push(self.settled(next)?);
        }
        Ok(Node::Condition(RawCondition::And(tests)))
    }

    fn negation(&mut self) -> Result<Node, String> {
        if !self.eat_word("NOT") {
            return self.test();
        }
        self.operator()?;
        let inner = self.deeper(Parser::negation)?;
        Ok(Node::Condition(RawCondition::Not(Box::new(self.settled(inner)?))))
    }

    fn test(&mut self) -> Result<Node, String> {
        let left = match self.group()? {
            Node::Operand(left) => return self.comparison(left),
            Node::Grouped(inner) => match *inner {
                Node::Operand(left) => left,
                condition => return Ok(Node::Grouped(Box::new(condition))),
            },
            condition => return Ok(condition),
        };
        let closed = self.at;
        let left = self.continued(left)?;
        let is_continued = self.at > closed;
        match self.comparison(left)? {
            Node::Operand(left) if !is_continued => Ok(Node::Grouped(Box::new(Node::Operand(left)))),
            other => Ok(other),
        }
    }

    /// What may follow an operand; itself where nothing does.
    fn comparison(&mut self, left: Raw) -> Result<Node, String> {
        let token = self.token();
        if token.kind == Kind::Symbol
            && let Some(comparator) = Comparator::of(token.text)
        {
            self.operator()?;
            self.advance();
            let right = self.grouped_operand()?;
            return Ok(Node::Condition(RawCondition::Compare(comparator, left, right)));
        }
        if self.eat_word("BETWEEN") {
            self.operator()?;
            let low = self.grouped_operand()?;
            if !self.eat_word("AND") {
                return Err(self.unexpected());
            }
            let high = self.grouped_operand()?;
            return Ok(Node::Condition(RawCondition::Between(left, low, high)));
        }
        if self.eat_word("IN") {
            self.operator()?;
            self.expect("(")?;
            let operands = self.operands()?;
            if operands.len() > limits::DYNAMODB_IN_OPERANDS_MAX {
                return Err(format!(
                    "The IN operator is provided with too many operands; number of operands: {}",
                    operands.len()
                ));
            }
            return Ok(Node::Condition(RawCondition::In(left, operands)));
        }
        Ok(Node::Operand(left))
    }

    fn group(&mut self) -> Result<Node, String> {
        if !self.eat("(") {
            return self.operand().map(Node::Operand);
        }
        let inner = self.deeper(Parser::any)?;
        self.expect(")")?;
        if let Node::Grouped(inner) = inner {
            self.has_redundant_parentheses = true;
            return Ok(Node::Grouped(inner));
        }
        Ok(Node::Grouped(Box::new(inner)))
    }

    /// A condition; a call of a function is one, and other operands are not.
    fn settled(&self, node: Node) -> Result<RawCondition, String> {
        match node {
            Node::Condition(condition) => Ok(condition),
            Node::Operand(Raw::Call(call)) => Ok(RawCondition::Call(call)),
            Node::Operand(_) => Err(self.unexpected()),
            Node::Grouped(inner) => self.settled(*inner),
        }
    }
}

/// Updates.
impl Parser<'_> {
    fn action(&mut self, section: Section) -> Result<RawAction, String> {
        let path = self.path()?;
        match section {
            Section::Set => {
                self.expect("=")?;
                Ok(RawAction::Set(path, self.set_value()?))
            }
            Section::Remove => Ok(RawAction::Remove(path)),
            Section::Add => Ok(RawAction::Add(path, self.placeholder()?)),
            Section::Delete => Ok(RawAction::Delete(path, self.placeholder()?)),
        }
    }

    fn placeholder(&mut self) -> Result<String, String> {
        let token = self.token();
        if token.kind != Kind::Value {
            return Err(self.unexpected());
        }
        self.advance();
        Ok(token.text.to_owned())
    }

    /// An operand, or a sum or difference of two; each, and the whole, may be in parentheses.
    fn set_value(&mut self) -> Result<RawSet, String> {
        let left = if self.eat("(") {
            let inner = self.deeper(Parser::set_value)?;
            self.expect(")")?;
            match inner {
                RawSet::Operand(left) => left,
                sum => return Ok(sum),
            }
        } else {
            self.operand()?
        };
        if self.eat("+") {
            self.operator()?;
            return Ok(RawSet::Sum(left, self.grouped_operand()?));
        }
        if self.eat("-") {
            self.operator()?;
            return Ok(RawSet::Difference(left, self.grouped_operand()?));
        }
        Ok(RawSet::Operand(left))
    }
}
