//! What follows WHERE. `OR` binds least, then `AND`, then `NOT`.

use cumulet_base::limits;

use super::super::token::Kind;
use super::{KEYWORDS, Parser, malformed, unsupported};
use crate::expression::condition::function;
use crate::expression::{Comparator, Operand, Test};
use crate::value::{Invalid, Value};

/// Names of types that `IS` knows; DynamoDB tests for none of them.
#[rustfmt::skip]
const TYPES: &[&str] = &[
    "ANY", "BAG", "BIGINT", "BLOB", "BOOL", "BOOLEAN", "CHAR", "CHARACTER", "CLOB", "DECIMAL", "DOUBLE", "FLOAT", "INT",
    "INT4", "INT8", "INTEGER", "LIST", "NUMERIC", "REAL", "SEXP", "SMALLINT", "STRING", "STRUCT", "SYMBOL", "TIMESTAMP",
    "TUPLE", "VARCHAR",
];

/// What stands where both an operand and a condition may.
enum Node {
    Operand(Operand),
    Condition(Test),
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
            condition => return Ok(condition),
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

    /// What follows `IS`.
    fn is_test(&mut self, left: Operand) -> Result<Test, Invalid> {
        let is_negated = self.eat_word("NOT");
        let test = if self.eat_word("MISSING") {
            match left {
                Operand::Path(path) => Test::NotExists(path),
                _ => return Err(unsupported("IsMissing of what is no path")),
            }
        } else if self.eat_word("NULL") {
            Test::IsType(left, "NULL".to_owned())
        } else if self.is_one_of(TYPES) {
            return Err(unsupported("IsType"));
        } else {
            return Err(malformed("Expected type name"));
        };
        Ok(if is_negated { Test::Not(Box::new(test)) } else { test })
    }

    /// What follows `IN`: `[…]`, `(…)`, `<<…>>`, or a parameter that is a list.
    fn among(&mut self) -> Result<Vec<Operand>, Invalid> {
        let among = if self.eat("(") {
            self.operands(")")?
        } else if self.eat("[") {
            self.operands("]")?
        } else {
            match self.try_literal()? {
                Some(Value::L(list)) => list.into_iter().map(Operand::Value).collect(),
                Some(Value::Ss(set)) => set.into_iter().map(|text| Operand::Value(Value::S(text))).collect(),
                Some(Value::Ns(set)) => set.into_iter().map(|number| Operand::Value(Value::N(number))).collect(),
                Some(Value::Bs(set)) => set.into_iter().map(|bytes| Operand::Value(Value::B(bytes))).collect(),
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
            return Ok(Node::Operand(Operand::Value(value)));
        }
        let is_call = self.token().kind == Kind::Word && self.tokens.get(self.at + 1).is_some_and(|n| n.text == "(");
        if is_call && !self.is_one_of(KEYWORDS) {
            return self.call();
        }
        if self.is_word("MISSING") || self.is_word("EXISTS") {
            return Err(unsupported(if self.is_word("MISSING") { "Missing" } else { "Exists in a condition" }));
        }
        self.path().map(|path| Node::Operand(Operand::Path(path)))
    }

    /// Names of functions are written in any case.
    fn call(&mut self) -> Result<Node, Invalid> {
        let name = self.token().text.to_ascii_lowercase();
        self.advance();
        self.advance();
        let operands = self.deeper(|parser| parser.operands(")"))?;
        let count = operands.len();
        match name.as_str() {
            "size" => match <[Operand; 1]>::try_from(operands) {
                Ok([of]) => Ok(Node::Operand(Operand::Size(Box::new(of)))),
                Err(_) => Err(Invalid::new(crate::expression::check::operand_count("size", count))),
            },
            "begins_with" | "contains" | "attribute_type" | "attribute_exists" | "attribute_not_exists" => {
                match function(&name, count, operands) {
                    Ok(Some(test)) => Ok(Node::Condition(test)),
                    Ok(None) => Err(self.unexpected()),
                    Err((_, message)) => Err(Invalid::new(message)),
                }
            }
            _ => Err(Invalid::new(format!("Invalid function name; function: {name}"))),
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
