//! Constraints of service models, and the sentence AWS answers when they are broken:
//! `2 validation errors detected: Value '…' at 'memorySize' failed to satisfy constraint: Member must have …`.

use crate::error::ApiError;

/// Collects broken constraints of one request.
#[derive(Debug, Default)]
pub struct Validation {
    broken: Vec<String>,
}

impl Validation {
    pub fn new() -> Validation {
        Validation::default()
    }

    fn add(&mut self, value: Option<&str>, member: &str, constraint: &str) {
        let value = value.map_or("null".to_owned(), |v| format!("'{v}'"));
        self.broken.push(format!("Value {value} at '{member}' failed to satisfy constraint: {constraint}"));
    }

    pub fn required<T>(&mut self, member: &str, value: Option<&T>) -> &mut Self {
        if value.is_none() {
            self.add(None, member, "Member must not be null");
        }
        self
    }

    pub fn between(&mut self, member: &str, value: Option<i64>, min: i64, max: i64) -> &mut Self {
        match value {
            Some(v) if v < min => self.add(
                Some(&v.to_string()),
                member,
                &format!("Member must have value greater than or equal to {min}"),
            ),
            Some(v) if v > max => {
                self.add(Some(&v.to_string()), member, &format!("Member must have value less than or equal to {max}"))
            }
            _ => {}
        }
        self
    }

    pub fn length(&mut self, member: &str, value: Option<&str>, min: usize, max: usize) -> &mut Self {
        match value {
            Some(v) if v.chars().count() < min => {
                self.add(Some(v), member, &format!("Member must have length greater than or equal to {min}"))
            }
            Some(v) if v.chars().count() > max => {
                self.add(Some(v), member, &format!("Member must have length less than or equal to {max}"))
            }
            _ => {}
        }
        self
    }

    /// Of a list: how many members it may have.
    pub fn count(&mut self, member: &str, list: Option<&[impl AsRef<str>]>, max: usize) -> &mut Self {
        if let Some(list) = list.filter(|list| list.len() > max) {
            let shown: Vec<&str> = list.iter().map(AsRef::as_ref).collect();
            let constraint = format!("Member must have length less than or equal to {max}");
            self.add(Some(&format!("[{}]", shown.join(", "))), member, &constraint);
        }
        self
    }

    /// `pattern` is only quoted; whether it holds is the caller's to say.
    pub fn pattern(
        &mut self,
        member: &str,
        value: Option<&str>,
        pattern: &str,
        holds: impl Fn(&str) -> bool,
    ) -> &mut Self {
        if let Some(v) = value.filter(|v| !holds(v)) {
            self.add(Some(v), member, &format!("Member must satisfy regular expression pattern: {pattern}"));
        }
        self
    }

    pub fn one_of(&mut self, member: &str, value: Option<&str>, allowed: &[&str]) -> &mut Self {
        if let Some(v) = value.filter(|v| !allowed.contains(v)) {
            self.add(Some(v), member, &format!("Member must satisfy enum value set: [{}]", allowed.join(", ")));
        }
        self
    }

    /// `code` is the service's: `ValidationException`, `ValidationError`, `InvalidParameterValueException`.
    pub fn finish(&self, code: &str) -> Result<(), ApiError> {
        match self.broken.len() {
            0 => Ok(()),
            n => {
                let errors = if n == 1 { "error" } else { "errors" };
                Err(ApiError::new(400, code, format!("{n} validation {errors} detected: {}", self.broken.join("; "))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_awss() {
        let mut v = Validation::new();
        v.required("role", None::<&String>).between("memorySize", Some(64), 128, 10240);
        let error = v.finish("ValidationException").unwrap_err();
        assert_eq!(
            error.message,
            "2 validation errors detected: Value null at 'role' failed to satisfy constraint: Member must not be null; \
             Value '64' at 'memorySize' failed to satisfy constraint: Member must have value greater than or equal to 128"
        );
        assert!(Validation::new().finish("x").is_ok());
    }
}
