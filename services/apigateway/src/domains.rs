//! Domain names of people's own, and which API and stage is behind which of their paths. They are one list for HTTP and
//! REST APIs. All of them are in memory, because every request is looked up in it; a change by another process is not seen
//! before the next start.
//! Deliberately absent: certificates (their ARNs are taken as they are given), mutual TLS, private domain names, routing rules.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use cumulet_base::limits;
use cumulet_wire::call::Context;
use serde::{Deserialize, Serialize};

use crate::errors::Error;
use crate::shapes::Texts;

/// As it is stored. The bytes are fixed in `docs/formats/apigateway.md`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Domain {
    pub v: u8,
    pub name: String,
    pub account: String,
    pub region: String,
    /// What is before `.execute-api` in the name that it is an alias of.
    pub id: String,
    /// `REGIONAL` or `EDGE`.
    pub endpoint_type: String,
    pub certificate_arn: Option<String>,
    pub security_policy: String,
    #[serde(default, skip_serializing_if = "Texts::is_empty")]
    pub tags: Texts,
    pub mappings: Vec<Mapping>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    pub id: String,
    pub api_id: String,
    /// `None`: the first part of the rest of the path names it.
    pub stage: Option<String>,
    /// The beginning of the paths, without slashes at its ends; empty for all.
    pub key: String,
}

/// Where a path of a domain leads.
#[derive(Debug, PartialEq, Eq)]
pub struct Route<'a> {
    pub mapping: &'a Mapping,
    /// The path after the mapping's key.
    pub below: &'a str,
}

impl Domain {
    /// By the longest key that the path begins with.
    pub fn route<'a>(&'a self, path: &'a str) -> Option<Route<'a>> {
        let below = |mapping: &Mapping| {
            let rest = path.strip_prefix('/').unwrap_or(path);
            match mapping.key.is_empty() {
                true => Some(path),
                false => match rest.strip_prefix(mapping.key.as_str())? {
                    "" => Some("/"),
                    rest => rest.starts_with('/').then_some(rest),
                },
            }
        };
        self.mappings
            .iter()
            .filter_map(|mapping| Some(Route { mapping, below: below(mapping)? }))
            .max_by_key(|route| route.mapping.key.len())
    }

    /// The name it is an alias of.
    pub fn target(&self, ctx: &Context) -> String {
        let url = crate::operations::endpoint(ctx, &self.id);
        let host = url.strip_prefix("http://").unwrap_or(&url);
        cumulet_wire::data_plane::host_name(host)
    }
}

/// All domain names of this cloud.
#[derive(Default)]
pub struct Domains {
    all: RwLock<BTreeMap<String, Arc<Domain>>>,
}

impl Domains {
    /// The domain that a host belongs to; one of all its subdomains begins with `*.`.
    pub fn find(&self, host_name: &str) -> Option<Arc<Domain>> {
        // A panic elsewhere cannot have left a half-made entry.
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        if all.is_empty() {
            return None;
        }
        let wild = || host_name.split_once('.').and_then(|(_, parent)| all.get(&format!("*.{parent}")));
        all.get(host_name).or_else(wild).cloned()
    }

    pub fn keep(&self, domain: Domain) {
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(domain.name.clone(), Arc::new(domain));
    }

    pub fn forget(&self, name: &str) {
        self.all.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    pub fn replace(&self, domains: Vec<Domain>) {
        let all = domains.into_iter().map(|domain| (domain.name.clone(), Arc::new(domain))).collect();
        *self.all.write().unwrap_or_else(PoisonError::into_inner) = all;
    }

    /// Those of an account and region, in the order of their names.
    pub fn list(&self, account: &str, region: &str) -> Vec<Arc<Domain>> {
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        all.values().filter(|domain| domain.account == account && domain.region == region).cloned().collect()
    }

    /// Whether an API is behind one of them.
    pub fn is_mapped(&self, api_id: &str) -> bool {
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        all.values().any(|domain| domain.mappings.iter().any(|mapping| mapping.api_id == api_id))
    }
}

/// A name that may be somebody's own: not an address, not one that this cloud answers under, and none of its own below
/// `localhost`.
pub fn check_name(name: &str, ctx: &Context) -> Result<(), Error> {
    let invalid = || Error::Invalid(format!("Invalid domain name identifier specified: {name}"));
    let plain = name.strip_prefix("*.").unwrap_or(name);
    let labels: Vec<&str> = plain.split('.').collect();
    let is_label = |label: &&str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = labels.last().copied().unwrap_or_default();
    let is_name = name.len() <= 253
        && labels.len() >= 2
        && labels.iter().all(is_label)
        && last.bytes().any(|b| b.is_ascii_lowercase());
    if !is_name {
        return Err(invalid());
    }
    let own = cumulet_wire::data_plane::host_name(&ctx.host);
    let is_own = own == plain
        || own.ends_with(&format!(".{plain}"))
        || plain.ends_with(&format!(".{own}")) && own != "localhost";
    let is_reserved = labels.iter().any(|label| matches!(*label, "execute-api" | "lambda-url" | "s3" | "amazonaws"));
    // Buckets are reached as `NAME.localhost`.
    let is_bucket = last == "localhost" && labels.len() < 3;
    if is_own || is_reserved || is_bucket {
        return Err(Error::Invalid(format!("The domain name {name} is one under which this cloud itself is reached")));
    }
    Ok(())
}

/// Settings, as both versions take them.
impl Domain {
    /// Whether there is such a certificate is not asked: there is no service of certificates.
    pub fn set_certificate(&mut self, arn: &str) -> Result<(), Error> {
        check_certificate(arn)?;
        self.certificate_arn = Some(arn.to_owned());
        Ok(())
    }

    pub fn set_policy(&mut self, policy: &str) -> Result<(), Error> {
        match policy {
            "TLS_1_0" | "TLS_1_2" => policy.clone_into(&mut self.security_policy),
            other => return Err(Error::Invalid(format!("Invalid security policy: {other}"))),
        }
        Ok(())
    }

    pub fn set_type(&mut self, kind: &str) -> Result<(), Error> {
        match kind {
            "REGIONAL" | "EDGE" => kind.clone_into(&mut self.endpoint_type),
            "PRIVATE" => return Err(Error::NotBuilt("private domain names".into())),
            other => return Err(Error::Invalid(format!("Invalid endpoint type: {other}"))),
        }
        Ok(())
    }
}

fn check_certificate(arn: &str) -> Result<(), Error> {
    let is_certificate = arn.parse::<cumulet_base::arn::Arn>().is_ok_and(|arn| {
        arn.service == "acm" && arn.resource.starts_with("certificate/")
            || arn.service == "iam" && arn.resource.starts_with("server-certificate/")
    });
    match is_certificate {
        true => Ok(()),
        false => Err(Error::Invalid(format!("Invalid certificate ARN: {arn}"))),
    }
}

/// A mapping's key as it is given: parts between slashes.
pub fn check_key(key: &str) -> Result<(), Error> {
    let is_part =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"$-_.+!*'()".contains(&b));
    match key.is_empty() || key.len() <= 300 && key.split('/').all(is_part) {
        true => Ok(()),
        false => Err(Error::Invalid(format!("API mapping key should not start with a '/' or have empty parts: {key}"))),
    }
}

/// Puts a mapping in, in place of one with the same id. No two have the same key.
pub fn put(domain: &mut Domain, mapping: Mapping) -> Result<(), Error> {
    check_key(&mapping.key)?;
    if domain.mappings.iter().any(|other| other.key == mapping.key && other.id != mapping.id) {
        return Err(Error::Conflict("ApiMapping key already exists for this domain name".into()));
    }
    match domain.mappings.iter().position(|other| other.id == mapping.id) {
        Some(at) => domain.mappings[at] = mapping,
        None if domain.mappings.len() >= limits::DOMAIN_MAPPINGS_MAX => {
            return Err(Error::Quota("API mappings", limits::DOMAIN_MAPPINGS_MAX));
        }
        None => domain.mappings.push(mapping),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn domain(keys: &[&str]) -> Domain {
        let mapping =
            |key: &&str| Mapping { id: key.to_string(), api_id: "a".into(), stage: None, key: key.to_string() };
        Domain {
            v: 1,
            name: "api.example.com".into(),
            account: "0".into(),
            region: "r".into(),
            id: "d-1".into(),
            endpoint_type: "REGIONAL".into(),
            certificate_arn: None,
            security_policy: "TLS_1_2".into(),
            tags: Texts::new(),
            mappings: keys.iter().map(mapping).collect(),
        }
    }

    #[test]
    fn the_longest_key_leads_the_way() {
        let all = domain(&["", "orders", "orders/v1"]);
        for (path, key, below) in [
            ("/", "", "/"),
            ("/x/y", "", "/x/y"),
            ("/orders", "orders", "/"),
            ("/orders/7", "orders", "/7"),
            ("/orderssss", "", "/orderssss"),
            ("/orders/v1/", "orders/v1", "/"),
            ("/orders/v1/a/b", "orders/v1", "/a/b"),
        ] {
            let route = all.route(path).unwrap();
            assert_eq!((route.mapping.key.as_str(), route.below), (key, below), "{path}");
        }
        assert!(domain(&["orders"]).route("/other").is_none());
    }

    #[test]
    fn hosts() {
        let domains = Domains::default();
        assert!(domains.find("api.example.com").is_none());
        domains.keep(domain(&[]));
        domains.keep(Domain { name: "*.example.com".into(), ..domain(&[]) });
        assert_eq!(domains.find("api.example.com").unwrap().name, "api.example.com");
        assert_eq!(domains.find("other.example.com").unwrap().name, "*.example.com");
        assert!(domains.find("example.com").is_none() && domains.find("a.b.example.com").is_none());
    }
}
