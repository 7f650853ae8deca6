//! Amazon Resource Names, `arn:partition:service:region:account:resource`
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html>).

use std::fmt;
use std::str::FromStr;

/// The account of a cloud that was given no other.
pub const DEFAULT_ACCOUNT: &str = "000000000000";
/// The region of a request that names none.
pub const DEFAULT_REGION: &str = "us-east-1";

/// A parsed ARN. `resource` keeps its colons and slashes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Arn {
    pub partition: String,
    pub service: String,
    pub region: String,
    pub account: String,
    pub resource: String,
}

/// The text is not an ARN: it lacks the prefix or one of the six fields.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an ARN: `{0}`")]
pub struct NotAnArn(pub String);

impl Arn {
    pub fn new(service: &str, region: &str, account: &str, resource: impl Into<String>) -> Arn {
        Arn {
            partition: "aws".into(),
            service: service.into(),
            region: region.into(),
            account: account.into(),
            resource: resource.into(),
        }
    }
}

impl FromStr for Arn {
    type Err = NotAnArn;

    fn from_str(text: &str) -> Result<Arn, NotAnArn> {
        let mut fields = text.splitn(6, ':');
        let mut next = || fields.next().map(str::to_owned);
        match (next(), next(), next(), next(), next(), next()) {
            (Some(prefix), Some(partition), Some(service), Some(region), Some(account), Some(resource))
                if prefix == "arn" && !partition.is_empty() && !service.is_empty() && !resource.is_empty() =>
            {
                Ok(Arn { partition, service, region, account, resource })
            }
            _ => Err(NotAnArn(text.to_owned())),
        }
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Arn { partition, service, region, account, resource } = self;
        write!(f, "arn:{partition}:{service}:{region}:{account}:{resource}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_it_prints_and_refuses_the_rest() {
        let text = "arn:aws:lambda:eu-west-1:123456789012:function:a:PROD";
        let arn: Arn = text.parse().unwrap();
        assert_eq!(arn.resource, "function:a:PROD");
        assert_eq!(arn.to_string(), text);
        for bad in ["", "arn", "arn:aws:lambda:r:a", "xrn:aws:l:r:a:x", "arn:aws:l:r:a:"] {
            assert!(bad.parse::<Arn>().is_err(), "{bad}");
        }
    }
}
