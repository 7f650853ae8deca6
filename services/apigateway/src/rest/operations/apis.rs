//! REST APIs themselves, and their import from OpenAPI and Swagger documents.

use bytes::Bytes;
use cumulet_base::{id, limits};
use cumulet_wire::call::{Answer, Context};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{Decision, Input, methods, optional, page, seconds};
use crate::ApiGateway;
use crate::errors::Error;
use crate::operations::{answer, given_tags, text};
use crate::rest::openapi::{self, Imported};
use crate::rest::patch::patched;
use crate::rest::shapes::{GatewayResponse, Model, RequestValidator, Resource, RestApi};
use crate::storage::rest::{Definition, RestChange, RestRows};

/// As clients see it.
pub(super) fn shown(api: &RestApi) -> Value {
    let mut shown = serde_json::to_value(api).unwrap_or_default();
    if let Some(shown) = shown.as_object_mut() {
        shown.remove("account");
        shown.remove("region");
        if api.binary_media_types.is_empty() {
            shown.remove("binaryMediaTypes");
        }
    }
    shown
}

/// The models that every API begins with.
fn first_models() -> [Model; 2] {
    let model = |name: &str, title: &str, description: &str| Model {
        id: id::short(6),
        name: name.to_owned(),
        description: Some(description.to_owned()),
        schema: Some(format!(
            "{{\n  \"$schema\": \"http://json-schema.org/draft-04/schema#\",\n  \"title\" : \"{title}\",\n  \"type\" : \"object\"\n}}"
        )),
        content_type: "application/json".into(),
    };
    [
        model("Empty", "Empty Schema", "This is a default empty schema model"),
        model("Error", "Error Schema", "This is a default error schema model"),
    ]
}

fn new(ctx: &Context, name: &str) -> (RestApi, Definition) {
    let root = Resource { id: id::short(10), path: "/".into(), ..Resource::default() };
    let api = RestApi {
        id: id::short(10),
        account: ctx.account().to_owned(),
        region: ctx.region.clone(),
        name: name.to_owned(),
        api_key_source: "HEADER".into(),
        endpoint_configuration: json!({ "types": ["EDGE"], "ipAddressType": "ipv4" }),
        root_resource_id: root.id.clone(),
        created_date: seconds(ctx),
        ..RestApi::default()
    };
    let mut definition = Definition::default();
    definition.resources.insert(root.id.clone(), root);
    definition.models.extend(first_models().map(|model| (model.name.clone(), model)));
    (api, definition)
}

fn check(api: &RestApi) -> Result<(), Error> {
    if api.name.is_empty() {
        return Err(Error::Invalid("Invalid API name".into()));
    }
    if !matches!(api.api_key_source.as_str(), "HEADER" | "AUTHORIZER") {
        return Err(Error::Invalid(format!("Invalid apiKeySource {}", api.api_key_source)));
    }
    let kinds = api.endpoint_configuration["types"].to_string();
    if kinds.contains("PRIVATE") {
        return Err(Error::NotBuilt("endpoints of type PRIVATE".into()));
    }
    match &api.policy {
        Some(policy) if serde_json::from_str::<Value>(policy).is_err() => Err(Error::Invalid(
            "Invalid policy document. Please check the policy syntax and ensure that Principals are valid.".into(),
        )),
        Some(_) => Err(Error::NotBuilt("resource policies of REST APIs".into())),
        None => Ok(()),
    }
}

/// What is new of a definition, and what is gone of the one before.
fn difference(old: &Definition, new: &Definition) -> Result<Vec<RestChange>, Error> {
    fn of<P: crate::storage::rest::Part + PartialEq>(
        old: &std::collections::BTreeMap<String, P>,
        new: &std::collections::BTreeMap<String, P>,
        changes: &mut Vec<RestChange>,
    ) -> Result<(), Error> {
        for (id, part) in new {
            if old.get(id) != Some(part) {
                changes.push(RestChange::put(part)?);
            }
        }
        changes.extend(old.keys().filter(|id| !new.contains_key(*id)).map(|id| RestChange::delete::<P>(id)));
        Ok(())
    }
    let mut changes = Vec::new();
    of(&old.resources, &new.resources, &mut changes)?;
    of(&old.authorizers, &new.authorizers, &mut changes)?;
    of(&old.models, &new.models, &mut changes)?;
    of::<RequestValidator>(&old.validators, &new.validators, &mut changes)?;
    of::<GatewayResponse>(&old.responses, &new.responses, &mut changes)?;
    Ok(changes)
}

/// Puts what a document says into an API. Overwriting, nothing else is left of its definition.
fn take_in(api: &mut RestApi, definition: &mut Definition, imported: &Imported, is_merge: bool) -> Result<(), Error> {
    if !is_merge {
        let root =
            Resource { resource_methods: Default::default(), ..definition.resources[&api.root_resource_id].clone() };
        let models = first_models().map(|model| match definition.models.get(&model.name) {
            Some(kept) => (kept.name.clone(), kept.clone()),
            None => (model.name.clone(), model),
        });
        *definition = Definition { models: models.into(), ..Definition::default() };
        definition.resources.insert(root.id.clone(), root);
    }
    openapi::merge(api, definition, imported)?;
    if definition.resources.len() > limits::REST_API_RESOURCES_MAX {
        return Err(Error::Quota("resources", limits::REST_API_RESOURCES_MAX));
    }
    for method in definition.resources.values().flat_map(|resource| resource.resource_methods.values()) {
        methods::check(method, definition)?;
        method.method_integration.as_ref().map_or(Ok(()), methods::check_integration)?;
    }
    definition.authorizers.values().try_for_each(super::parts::check_authorizer)?;
    check(api)
}

pub(super) fn update(rows: &mut RestRows, input: &Input, _ctx: &Context) -> Decision {
    const WRITABLE: &[&str] = &[
        "name",
        "description",
        "version",
        "binaryMediaTypes",
        "minimumCompressionSize",
        "apiKeySource",
        "policy",
        "disableExecuteApiEndpoint",
        "endpointConfiguration",
    ];
    rows.api = patched(&rows.api, input, WRITABLE)?;
    if rows.api.policy.as_deref() == Some("") {
        rows.api.policy = None;
    }
    check(&rows.api)?;
    let shown = answer(&shown(&rows.api))?;
    Ok((Vec::new(), shown))
}

impl ApiGateway {
    pub(super) async fn create_rest_api(&self, ctx: &Context, input: &Input) -> Result<Answer, ApiError> {
        if input.get("mode").and_then(Value::as_str) == Some("import") {
            return self.import_rest_api(ctx, input).await;
        }
        if let Some(other) = optional(input, "cloneFrom") {
            return Err(Error::NotBuilt(format!("cloneFrom {other}")).into());
        }
        let (made, mut definition) = new(ctx, text(input, "name")?);
        let mut value = serde_json::to_value(&made).map_err(Error::Row)?;
        for member in [
            "description",
            "version",
            "binaryMediaTypes",
            "minimumCompressionSize",
            "apiKeySource",
            "policy",
            "disableExecuteApiEndpoint",
        ] {
            if let Some(given) = input.get(member).filter(|given| !given.is_null()) {
                value[member] = given.clone();
            }
        }
        if let Some(given) = input.get("endpointConfiguration").filter(|given| given.is_object()) {
            value["endpointConfiguration"]["types"] = given["types"].clone();
        }
        let mut api: RestApi = serde_json::from_value(value).map_err(|e| Error::Invalid(e.to_string()))?;
        api.tags = given_tags(input)?;
        check(&api)?;
        self.store_rest(&api, &mut definition).await
    }

    async fn import_rest_api(&self, ctx: &Context, input: &Input) -> Result<Answer, ApiError> {
        let mut document = input.clone();
        document.remove("mode");
        let imported = openapi::read(&document.into())?;
        let (mut api, mut definition) = new(ctx, &imported.name);
        take_in(&mut api, &mut definition, &imported, false)?;
        self.store_rest(&api, &mut definition).await
    }

    async fn store_rest(&self, api: &RestApi, definition: &mut Definition) -> Result<Answer, ApiError> {
        let known = self.storage.list_rest(&api.account, &api.region).await?;
        if known.len() >= limits::HTTP_APIS_MAX {
            return Err(Error::Quota("REST APIs", limits::HTTP_APIS_MAX).into());
        }
        self.storage.create_rest(api, difference(&Definition::default(), definition)?).await?;
        self.rests.forget(&api.id);
        Ok(answer(&shown(api))?)
    }

    pub(super) async fn put_rest_api(&self, ctx: &Context, input: &Input, body: &Bytes) -> Result<Answer, ApiError> {
        let is_merge = match input.get("mode").and_then(Value::as_str).unwrap_or("merge") {
            "merge" => true,
            "overwrite" => false,
            other => return Err(Error::Invalid(format!("Invalid mode {other}")).into()),
        };
        let document: Value = serde_json::from_slice(body).map_err(|_| {
            Error::Invalid("Invalid OpenAPI input: the body is not JSON. YAML is not read here.".into())
        })?;
        let imported = openapi::read(&document)?;
        self.change_rest(ctx, input, |rows, _, _| {
            let mut definition = rows.now.clone();
            take_in(&mut rows.api, &mut definition, &imported, is_merge)?;
            let changes = difference(&rows.now, &definition)?;
            Ok((changes, answer(&shown(&rows.api))?))
        })
        .await
    }

    pub(super) async fn get_rest_apis(&self, ctx: &Context, input: &Input) -> Result<Answer, ApiError> {
        let mut all = Vec::new();
        for id in self.storage.list_rest(ctx.account(), &ctx.region).await? {
            if let Some(rows) = self.storage.load_rest(&id).await? {
                all.push(shown(&rows.api));
            }
        }
        Ok(page(all.into_iter(), input)?)
    }

    pub(super) async fn delete_rest_api(&self, ctx: &Context, input: &Input) -> Result<Answer, ApiError> {
        let rows = self.load_rest(ctx, text(input, "restapi_id")?).await?;
        self.check_unmapped(&rows.api.id)?;
        self.storage.delete_rest(&rows).await?;
        self.rests.forget(&rows.api.id);
        Ok(Answer::empty())
    }
}
