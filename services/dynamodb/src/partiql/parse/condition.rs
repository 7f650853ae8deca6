//! What follows WHERE. `OR` binds least, then `AND`, then `NOT`.

use std::sync::Arc;

use cumulet_base::limits;

use super::super::token::Kind;
use super::{Parser, malformed, unsupported};
use crate::expression::condition::function;
use crate::expression::{Comparator, Operand, Test, check};
use crate::value::{Invalid, Value};

/// Names of types that `IS` knows, and DynamoDB's types that they are; none where DynamoDB has no such type.
#[rustfmt::skip]
const TYPES: &[(&str, &[&str])] = &[
    ("BAG", &["SS", "NS", "BS"]), ("BIGINT", &["N"]), ("BLOB", &["B"]), ("BOOL", &["BOOL"]), ("BOOLEAN", &["BOOL"]),
    ("CHAR", &["S"]), ("CHARACTER", &["S"]), ("CLOB", &[]), ("DECIMAL", &["N"]), ("DOUBLE", &["N"]), ("FLOAT", &["N"]),
    ("INT", &["N"]), ("INT4", &["N"]), ("INT8", &["N"]), ("INTEGER", &["N"]), ("LIST", &["L"]), ("NULL", &["NULL"]),
    ("NUMERIC", &["N"]), ("REAL", &["N"]), ("SEXP", &[]), ("SMALLINT", &["N"]), ("STRING", &["S"]), ("STRUCT", &["M"]),
    ("SYMBOL", &["S"]), ("TIMESTAMP", &[]), ("TUPLE", &["M"]), ("VARCHAR", &["S"]),
];
/// What follows the first word of those names that have two.
const SECOND_WORDS: &[(&str, &str)] = &[("DOUBLE", "PRECISION"), ("CHARACTER", "VARYING")];

/// What stands where both an operand and a condition may.
enum Node {
    Operand(Operand),
    Condition(Test),
}

fn operand(value: Value) -> Operand {
    Operand::Value(Arc::new(value))
}

impl Parser<'_> {
    pub(super) fn condition(&mut self) -> Result<Test, Invalid> {
        let node = self.any()?;
        self.settled(node)
    }

    fn any(&mut self) -> Result<Node, Invalid> {
        let first = self.all()?;
        if !self.is_word("OR") {
            return Ok(first);
        }
        let mut tests = vec![self.settled(first)?];
        while self.eat_word("OR") {
            self.needs_right_side()?;
            let next = self.all()?;
            tests.push(self.settled(next)?);
        }
        Ok(Node::Condition(Test::Any(tests)))
    }

    fn all(&mut self) -> Result<Node, Invalid> {
        let first = self.negation()?;
        if !self.is_word("AND") {
            return Ok(first);
        }
        let mut tests = vec![self.settled(first)?];
        while self.eat_word("AND") {
            self.needs_right_side()?;
            let next = self.negation()?;
            tests.push(self.settled(next)?);
        }
        Ok(Node::Condition(Test::All(tests)))
    }

    fn needs_right_side(&self) -> Result<(), Invalid> {
        if self.token().kind == Kind::End || self.is_symbol(";") {
            return Err(malformed("Missing right-hand side expression of infix operator"));
        }
        Ok(())
    }

    fn negation(&mut self) -> Result<Node, Invalid> {
        if !self.eat_word("NOT") {
            return self.test();
        }
        let inner = self.deeper(Parser::negation)?;
        Ok(Node::Condition(Test::Not(Box::new(self.settled(inner)?))))
    }

    fn test(&mut self) -> Result<Node, Invalid> {
        let left = match self.group()? {
            Node::Operand(left) => left,
            Node::Condition(test) => return self.compared_with_truth(test).map(Node::Condition),
        };
        if self.token().kind == Kind::Symbol {
            let text = if self.is_symbol("!=") { "<>" } else { self.token().text };
            if let Some(comparator) = Comparator::of(text) {
                self.advance();
                self.needs_right_side()?;
                return Ok(Node::Condition(Test::Compare(comparator, left, self.operand()?)));
            }
        }
        if self.eat_word("IS") {
            return self.is_test(left).map(Node::Condition);
        }
        let is_negated = self.is_word("NOT")
            && self.tokens.get(self.at + 1).is_some_and(|next| {
                next.kind == Kind::Word && ["IN", "BETWEEN"].iter().any(|word| next.text.eq_ignore_ascii_case(word))
            });
        if is_negated {
            self.advance();
        }
        let test = if self.eat_word("BETWEEN") {
            self.needs_right_side()?;
            let low = self.operand()?;
            self.expect_word("AND")?;
            Test::Between(left, low, self.operand()?)
        } else if self.eat_word("IN") {
            self.needs_right_side()?;
            Test::In(left, self.among()?)
        } else if self.is_word("LIKE") {
            return Err(unsupported("Like"));
        } else {
            return Ok(Node::Operand(left));
        };
        Ok(Node::Condition(if is_negated { Test::Not(Box::new(test)) } else { test }))
    }

    /// A condition may be compared with a truth.
    fn compared_with_truth(&mut self, test: Test) -> Result<Test, Invalid> {
        let is_equal = self.is_symbol("=");
        if !is_equal && !self.is_symbol("<>") && !self.is_symbol("!=") {
            return Ok(test);
        }
        self.advance();
        self.needs_right_side()?;
        match self.operand()? {
            Operand::Value(value) if *value == Value::Bool(is_equal) => Ok(test),
            Operand::Value(value) if *value == Value::Bool(!is_equal) => Ok(Test::Not(Box::new(test))),
            _ => Err(unsupported("Comparison with a condition")),
        }
    }

    /// What follows `IS`.
    fn is_test(&mut self, left: Operand) -> Result<Test, Invalid> {
        let is_negated = self.eat_word("NOT");
        let test = if self.eat_word("MISSING") {
            match left {
                Operand::Path(path) => Test::NotExists(path),
                _ => return Err(unsupported("IsMissing of what is no path")),
            }
        } else {
            let Some((name, types)) = TYPES.iter().find(|(name, _)| self.is_word(name)) else {
                return Err(malformed("Expected type name"));
            };
            self.advance();
            if let Some((_, second)) = SECOND_WORDS.iter().find(|(first, _)| first == name)
                && !self.eat_word(second)
                && *name == "DOUBLE"
            {
                return Err(malformed("Expected type name"));
            }
            match types {
                [] => return Err(unsupported("IsType")),
                [only] => Test::IsType(left, (*only).to_owned()),
                several => {
                    Test::Any(several.iter().map(|kind| Test::IsType(left.clone(), (*kind).to_owned())).collect())
                }
            }
        };
        Ok(if is_negated { Test::Not(Box::new(test)) } else { test })
    }

    /// What follows `IN`: `[…]`, `(…)`, `<<…>>`, or a parameter that is a list.
    fn among(&mut self) -> Result<Vec<Operand>, Invalid> {
        let among = if self.eat("(") {
            let among = self.operands(")")?;
            if among.is_empty() {
                return Err(malformed("Unexpected term"));
            }
            among
        } else if self.eat("[") {
            self.operands("]")?
        } else {
            match self.try_literal()? {
                Some(Value::L(list)) => list.into_iter().map(operand).collect(),
                Some(Value::Ss(set)) => set.into_iter().map(|text| operand(Value::S(text))).collect(),
                Some(Value::Ns(set)) => set.into_iter().map(|number| operand(Value::N(number))).collect(),
                Some(Value::Bs(set)) => set.into_iter().map(|bytes| operand(Value::B(bytes))).collect(),
                _ => return Err(self.unexpected()),
            }
        };
        if among.len() > limits::DYNAMODB_IN_OPERANDS_MAX {
            return Err(Invalid::new(format!(
                "The IN operator is provided with too many operands; number of operands: {}",
                among.len()
            )));
        }
        Ok(among)
    }

    /// Operands up to and with the closing symbol.
    fn operands(&mut self, closing: &str) -> Result<Vec<Operand>, Invalid> {
        if closing == ")" && self.eat(closing) {
            return Ok(Vec::new());
        }
        let mut operands = vec![self.operand()?];
        while self.eat(",") {
            operands.push(self.operand()?);
        }
        self.expect(closing)?;
        Ok(operands)
    }

    fn operand(&mut self) -> Result<Operand, Invalid> {
        match self.group()? {
            Node::Operand(operand) => Ok(operand),
            Node::Condition(_) => Err(unsupported("Comparison with a condition")),
        }
    }

    fn group(&mut self) -> Result<Node, Invalid> {
        if self.eat("(") {
            let inner = self.deeper(Parser::any)?;
            self.expect(")")?;
            return Ok(inner);
        }
        if let Some(value) = self.try_literal()? {
            return Ok(Node::Operand(operand(value)));
        }
        if self.is_any_call() || self.is_call("EXISTS") {
            return self.call();
        }
        self.path().map(|path| Node::Operand(Operand::Path(path)))
    }

    /// Names of functions are written in any case.
    fn call(&mut self) -> Result<Node, Invalid> {
        let name = self.token().text.to_ascii_lowercase();
        let known = check::FUNCTIONS_OF_CONDITIONS;
        if !known.contains(&name.as_str()) {
            return Err(Invalid::new(format!("Unrecognized function: {name} at {}", self.place(self.at))));
        }
        self.advance();
        self.advance();
        let operands = self.deeper(|parser| parser.operands(")"))?;
        let count = operands.len();
        match name.as_str() {
            "size" => match <[Operand; 1]>::try_from(operands) {
                Ok([of]) => Ok(Node::Operand(Operand::Size(Box::new(of)))),
                Err(_) => Err(Invalid::new(check::operand_count("size", count))),
            },
            _ => match function(&name, count, operands) {
                Ok(Some(test)) => Ok(Node::Condition(test)),
                Ok(None) => Err(self.unexpected()),
                Err((_, message)) => Err(Invalid::new(message)),
            },
        }
    }

    /// A condition; an operand alone is none.
    fn settled(&self, node: Node) -> Result<Test, Invalid> {
        match node {
            Node::Condition(test) => Ok(test),
            Node::Operand(_) if self.token().kind == Kind::End => Err(unsupported("A value as a condition")),
            Node::Operand(_) => Err(malformed("Unexpected token after expression")),
        }
    }
}
