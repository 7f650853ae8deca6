//! Secrets and their policies. `Ref` is the secret's ARN.

use cumulet_wire::error::ApiError;
use serde_json::{Map, Value, json};

use super::{Made, Whereabouts, copied, invalid, only, required, required_text, text};

type Properties = Map<String, Value>;

const SECRET: &[&str] = &["Name", "Description", "SecretString", "GenerateSecretString", "KmsKeyId", "Tags"];
const POLICY: &[&str] = &["SecretId", "ResourcePolicy", "BlockPublicPolicy"];
/// What `GenerateSecretString` has that `GetRandomPassword` has, too.
const GENERATION: &[&str] = &[
    "PasswordLength",
    "ExcludeCharacters",
    "ExcludeNumbers",
    "ExcludePunctuation",
    "ExcludeUppercase",
    "ExcludeLowercase",
    "IncludeSpace",
    "RequireEachIncludedType",
];

/// The value a template gives or has made; `None`: the secret has none.
async fn value(at: &Whereabouts, properties: &Properties) -> Result<Option<String>, ApiError> {
    let generate = properties.get("GenerateSecretString");
    match (properties.get("SecretString"), generate) {
        (Some(_), Some(_)) => Err(invalid("SecretString and GenerateSecretString cannot be both")),
        (Some(given), None) => Ok(Some(text(given))),
        (None, None) => Ok(None),
        (None, Some(wish)) => generated(at, wish).await.map(Some),
    }
}

async fn generated(at: &Whereabouts, wish: &Value) -> Result<String, ApiError> {
    let wish = wish.as_object().ok_or_else(|| invalid("GenerateSecretString is no object"))?;
    let (member, template) = (wish.get("GenerateStringKey"), wish.get("SecretStringTemplate"));
    let mut input = copied(wish, GENERATION);
    for (name, value) in &mut input {
        // Templates may write numbers and truths as text.
        if let Some(text) = value.as_str().filter(|_| name != "ExcludeCharacters") {
            *value = serde_json::from_str(text).map_err(|_| invalid(format!("{name} is neither number nor truth")))?;
        }
    }
    let answer = at.client.call("secretsmanager", "GetRandomPassword", input.into()).await?;
    let password = answer["RandomPassword"].clone();
    match (member, template) {
        (Some(member), Some(template)) => {
            let bad = |_| invalid("SecretStringTemplate is no JSON object");
            let mut whole: Properties = serde_json::from_str(&text(template)).map_err(bad)?;
            whole.insert(text(member), password);
            Ok(Value::Object(whole).to_string())
        }
        (None, None) => Ok(text(&password)),
        _ => Err(invalid("GenerateStringKey and SecretStringTemplate belong together")),
    }
}

pub async fn create(at: &Whereabouts, kind: &str, properties: &Properties) -> Result<Made, ApiError> {
    if kind == "AWS::SecretsManager::ResourcePolicy" {
        return put_policy(at, properties).await;
    }
    only(properties, SECRET)?;
    let mut input = copied(properties, &["Description", "KmsKeyId"]);
    let name = properties.get("Name").map_or_else(|| at.name(512), text);
    input.insert("Name".into(), name.into());
    if let Some(value) = value(at, properties).await? {
        input.insert("SecretString".into(), value.into());
    }
    input.insert("Tags".into(), at.tag_list(properties));
    let answer = at.client.call("secretsmanager", "CreateSecret", input.into()).await?;
    Ok(Made::new(text(&answer["ARN"])).with("Id", &answer["ARN"]))
}

async fn put_policy(at: &Whereabouts, properties: &Properties) -> Result<Made, ApiError> {
    only(properties, POLICY)?;
    let id = required_text(properties, "SecretId")?;
    let mut input = copied(properties, &["SecretId", "BlockPublicPolicy"]);
    input.insert("ResourcePolicy".into(), required(properties, "ResourcePolicy")?.to_string().into());
    let answer = at.client.call("secretsmanager", "PutResourcePolicy", input.into()).await?;
    Ok(Made::new(id).with("Id", &answer["ARN"]))
}

pub async fn update(
    at: &Whereabouts,
    kind: &str,
    made: &Made,
    old: &Properties,
    new: &Properties,
) -> Result<Made, ApiError> {
    if kind == "AWS::SecretsManager::ResourcePolicy" {
        return put_policy(at, new).await;
    }
    only(new, SECRET)?;
    let id = &made.physical_id;
    let mut input = copied(new, &["Description", "KmsKeyId"]);
    input.insert("SecretId".into(), id.clone().into());
    // A generated value stays, as long as it is to be generated in the same way.
    let is_another = ["SecretString", "GenerateSecretString"].iter().any(|member| old.get(*member) != new.get(*member));
    if let Some(value) = if is_another { value(at, new).await? } else { None } {
        input.insert("SecretString".into(), value.into());
    }
    at.client.call("secretsmanager", "UpdateSecret", input.into()).await?;
    let (removed, tags) = at.tag_changes(old, new);
    if !removed.is_empty() {
        at.client.call("secretsmanager", "UntagResource", json!({ "SecretId": id, "TagKeys": removed })).await?;
    }
    if let Some(tags) = tags {
        at.client.call("secretsmanager", "TagResource", json!({ "SecretId": id, "Tags": tags })).await?;
    }
    Ok(made.clone())
}

pub async fn delete(at: &Whereabouts, kind: &str, id: &str) -> Result<(), ApiError> {
    let (operation, input) = match kind {
        "AWS::SecretsManager::ResourcePolicy" => ("DeleteResourcePolicy", json!({ "SecretId": id })),
        // As CloudFormation does it.
        _ => ("DeleteSecret", json!({ "SecretId": id, "ForceDeleteWithoutRecovery": true })),
    };
    at.client.call("secretsmanager", operation, input).await.map(drop)
}
