//! The rule of a composite alarm
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutCompositeAlarm.html>). Deliberately absent:
//! `AT_LEAST`.

use cumulet_base::limits;
use cumulet_wire::error::ApiError;

use super::{ALARM, OK, UNKNOWN};
use crate::errors;

const DEPTH_MAX: usize = 32;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    Is(bool),
    /// An alarm's name, and the state it has to be in.
    State(String, &'static str),
    Not(Box<Rule>),
    And(Vec<Rule>),
    Or(Vec<Rule>),
}

impl Rule {
    pub fn parse(text: &str) -> Result<Rule, ApiError> {
        let mut reader = Reader { rest: text };
        let rule = reader.or(0)?;
        if !reader.rest.trim_start().is_empty() {
            return Err(reader.wrong());
        }
        match rule.names().len() > limits::ALARM_RULE_NAMES_MAX {
            true => Err(errors::validation("AlarmRule names more than 100 alarms")),
            false => Ok(rule),
        }
    }

    pub fn names(&self) -> Vec<&str> {
        match self {
            Rule::Is(_) => Vec::new(),
            Rule::State(name, _) => vec![name],
            Rule::Not(inner) => inner.names(),
            Rule::And(all) | Rule::Or(all) => all.iter().flat_map(Rule::names).collect(),
        }
    }

    pub fn holds(&self, state: &dyn Fn(&str) -> String) -> bool {
        match self {
            Rule::Is(is) => *is,
            Rule::State(name, wanted) => state(name) == *wanted,
            Rule::Not(inner) => !inner.holds(state),
            Rule::And(all) => all.iter().all(|rule| rule.holds(state)),
            Rule::Or(all) => all.iter().any(|rule| rule.holds(state)),
        }
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn wrong(&self) -> ApiError {
        let near: String = self.rest.trim_start().chars().take(20).collect();
        errors::validation(format!("AlarmRule contains a syntax error near '{near}'"))
    }

    fn passes(&mut self, mark: &str) -> bool {
        let rest = self.rest.trim_start().strip_prefix(mark);
        // A word is not the begin of a longer one.
        let is_word = mark.ends_with(|c: char| c.is_ascii_alphabetic());
        let rest = rest.filter(|rest| !(is_word && rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')));
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn or(&mut self, depth: usize) -> Result<Rule, ApiError> {
        let mut all = vec![self.and(depth)?];
        while self.passes("OR") {
            all.push(self.and(depth)?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Rule::Or(all) })
    }

    fn and(&mut self, depth: usize) -> Result<Rule, ApiError> {
        let mut all = vec![self.one(depth)?];
        while self.passes("AND") {
            all.push(self.one(depth)?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Rule::And(all) })
    }

    fn one(&mut self, depth: usize) -> Result<Rule, ApiError> {
        if depth > DEPTH_MAX {
            return Err(errors::validation("AlarmRule is too deep"));
        }
        if self.passes("NOT") {
            return Ok(Rule::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.passes("TRUE") {
            return Ok(Rule::Is(true));
        }
        if self.passes("FALSE") {
            return Ok(Rule::Is(false));
        }
        if self.passes("AT_LEAST") {
            return Err(ApiError::not_implemented("cloudwatch", "PutCompositeAlarm with AT_LEAST"));
        }
        for state in [ALARM, OK, UNKNOWN] {
            if self.passes(state) {
                return Ok(Rule::State(self.name()?, state));
            }
        }
        if !self.passes("(") {
            return Err(self.wrong());
        }
        let inner = self.or(depth + 1)?;
        if self.passes(")") { Ok(inner) } else { Err(self.wrong()) }
    }

    /// `("name")`, `(name)`, or with an ARN.
    fn name(&mut self) -> Result<String, ApiError> {
        if !self.passes("(") {
            return Err(self.wrong());
        }
        let quote = ['"', '\''].into_iter().find(|quote| self.rest.trim_start().starts_with(*quote));
        let rest = self.rest.trim_start();
        let (name, rest) = match quote {
            Some(quote) => rest[1..].split_once(quote),
            None => rest.find(')').map(|at| (rest[..at].trim_end(), &rest[at..])),
        }
        .ok_or_else(|| self.wrong())?;
        let name = name.splitn(7, ':').nth(6).filter(|_| name.starts_with("arn:")).unwrap_or(name).to_owned();
        self.rest = rest;
        if name.is_empty() || !self.passes(")") {
            return Err(self.wrong());
        }
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rules() {
        let state = |name: &str| {
            match name {
                "a" => ALARM,
                "b b" => OK,
                _ => UNKNOWN,
            }
            .to_owned()
        };
        for (text, holds) in [
            ("ALARM(a)", true),
            ("ALARM(\"a\") AND NOT OK('b b')", false),
            ("ALARM(arn:aws:cloudwatch:us-east-1:000000000000:alarm:a)", true),
            ("(ALARM(x) OR OK(b b)) AND INSUFFICIENT_DATA(x)", true),
            ("NOT (ALARM(a) OR FALSE)", false),
            ("FALSE OR TRUE AND ALARM(a)", true),
        ] {
            assert_eq!(Rule::parse(text).unwrap().holds(&state), holds, "{text}");
        }
        let all = (0..101).map(|n| format!("OK(a{n})")).collect::<Vec<_>>().join(" OR ");
        for (text, code) in [
            ("", "ValidationError"),
            ("ALARM(a", "ValidationError"),
            ("ALARM()", "ValidationError"),
            ("ALARMS(a)", "ValidationError"),
            ("OK(a) OK(b)", "ValidationError"),
            ("AT_LEAST(1, ALARM, (a))", "NotImplemented"),
            (&all, "ValidationError"),
            (&"NOT ".repeat(100_000), "ValidationError"),
            (&"(".repeat(100_000), "ValidationError"),
        ] {
            assert_eq!(Rule::parse(text).unwrap_err().code, code, "{}", &text[..text.len().min(40)]);
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,80}", likely in "(OK|ALARM|NOT|AND|OR|[()\"' a]){0,20}") {
            let _either = Rule::parse(&text);
            let _either = Rule::parse(&likely);
        }
    }
}
