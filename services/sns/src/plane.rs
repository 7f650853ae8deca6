//! The links that messages carry: to confirm a subscription, to end it, and to the certificate of signatures. Whoever has
//! the link may follow it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cumulet_wire::data_plane::{DataPlane, HttpRequest};
use cumulet_wire::error::ApiError;
use http::{Response, StatusCode};

use crate::model::Place;
use crate::operations::subscriptions;
use crate::signing::Signer;
use crate::storage::Storage;
use crate::{errors, signing};

pub const PATH: &str = "/_cumulet/sns";

pub struct Links {
    pub(crate) storage: Arc<Storage>,
    pub(crate) signer: Arc<Signer>,
}

#[async_trait]
impl DataPlane for Links {
    fn claims(&self, _: &str, path: &str) -> bool {
        path.starts_with(PATH)
    }

    fn body_bytes_max(&self) -> usize {
        0
    }

    fn too_large(&self) -> Response<Bytes> {
        answer(StatusCode::PAYLOAD_TOO_LARGE, "text/plain", "Only links are followed here.\n".to_owned())
    }

    async fn serve(&self, request: HttpRequest) -> Response<Bytes> {
        let file = request.path.strip_prefix(PATH).and_then(|path| path.strip_prefix('/'));
        match file {
            Some(file) if signing::is_certificate(file) => match self.signer.certificate(&self.storage, file).await {
                Ok(Some(certificate)) => answer(StatusCode::OK, "application/x-pem-file", certificate),
                Ok(None) => failure(&errors::no_resource()),
                Err(error) => failure(&error),
            },
            Some(_) => failure(&errors::no_resource()),
            None => match self.follow(&request.query).await {
                Ok(text) => answer(StatusCode::OK, "text/xml", text),
                Err(error) => failure(&error),
            },
        }
    }
}

impl Links {
    async fn follow(&self, query: &str) -> Result<String, ApiError> {
        let member = |name: &str| {
            let found = form_urlencoded::parse(query.as_bytes()).find(|(known, _)| known == name);
            found.map(|(_, value)| value.into_owned()).ok_or_else(|| errors::invalid(name))
        };
        match member("Action")?.as_str() {
            "ConfirmSubscription" => {
                let topic = Place::from_arn(&member("TopicArn")?).ok_or_else(|| errors::invalid("TopicArn"))?;
                let arn = subscriptions::confirm_token(&self.storage, &topic, &member("Token")?, false).await?;
                Ok(format!(
                    "<ConfirmSubscriptionResponse xmlns=\"{ns}\"><ConfirmSubscriptionResult><SubscriptionArn>{arn}\
                     </SubscriptionArn></ConfirmSubscriptionResult></ConfirmSubscriptionResponse>",
                    ns = crate::MODEL.xmlns
                ))
            }
            "Unsubscribe" => {
                let named = Place::of_subscription(&member("SubscriptionArn")?);
                let (topic, id) = named.ok_or_else(|| errors::invalid("SubscriptionArn"))?;
                if let Some((subscription, _)) = self.storage.subscription(&topic, &id).await? {
                    if subscription.is_authenticated || !subscription.protocol.is_web() {
                        return Err(errors::not_authorized("Only its owner may end this subscription."));
                    }
                    self.storage.delete_subscription(&topic, &id).await?;
                }
                Ok(format!("<UnsubscribeResponse xmlns=\"{}\"></UnsubscribeResponse>", crate::MODEL.xmlns))
            }
            _ => Err(errors::invalid("Action")),
        }
    }
}

fn failure(error: &ApiError) -> Response<Bytes> {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer(status, "text/plain", format!("{}: {}\n", error.code, error.message))
}

fn answer(status: StatusCode, kind: &'static str, text: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", http::HeaderValue::from_static(kind));
    response
}
