//! Who calls and what they may do: the owner's key, sessions of roles, and the decision over a role's policies.
//! Sessions are not stored: the token says whose it is and until when, and is signed; its secret key follows from it.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use cumulet_base::arn::Arn;
use cumulet_base::clock::Clock;
use cumulet_base::id;
use cumulet_engine::catalog::{SessionCredentials, Sessions};
use cumulet_store::Store;
use cumulet_wire::auth::{Authorizer, Caller, Credential, Credentials, Principal};
use cumulet_wire::error::ApiError;
use cumulet_wire::policy::Decision;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use tokio::sync::OnceCell;

use crate::entities::{AccessKey, Group, Holder, Policy, User};
use crate::errors;
use crate::managed;
use crate::model::Role;
use crate::policy;
use crate::storage::Storage;

/// Sessions of functions; the engine renews instances long before.
const FUNCTION_SESSION_S: u64 = 12 * 3600;
const TOKEN_BYTES_MAX: usize = 4096;
const TOKEN_FORMAT: u8 = 1;

/// The key that may do everything.
#[derive(Clone, Debug)]
pub struct Owner {
    pub account: String,
    pub access_key_id: String,
    pub secret_access_key: String,
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Claims {
    v: u8,
    key: String,
    role: String,
    role_id: String,
    session: String,
    expires_s: u64,
}

/// A session as AssumeRole hands it out.
#[derive(Clone, Debug)]
pub struct Assumed {
    pub credentials: SessionCredentials,
    /// Milliseconds since 1970.
    pub expires_ms: u64,
    /// `arn:aws:sts::A:assumed-role/NAME/SESSION`
    pub arn: String,
    /// `AROA…:SESSION`
    pub user_id: String,
}

/// Implements the ports [`Credentials`], [`Authorizer`] and [`Sessions`].
pub struct Access {
    storage: Storage,
    owner: Owner,
    clock: Arc<dyn Clock>,
    secret: OnceCell<[u8; 32]>,
}

/// The name of a role and its account, from its ARN with or without a path.
fn role_of(arn: &str) -> Option<(String, String)> {
    let arn: Arn = arn.parse().ok()?;
    let name = arn.resource.strip_prefix("role/")?.rsplit('/').next()?;
    (arn.service == "iam" && !name.is_empty()).then(|| (arn.account.clone(), name.to_owned()))
}

fn mac(secret: &[u8; 32], purpose: &str, text: &str) -> Hmac<Sha256> {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(purpose.as_bytes());
    mac.update(text.as_bytes());
    mac
}

/// Forty characters, as long as AWS's secrets.
fn secret_key(secret: &[u8; 32], body: &str) -> String {
    STANDARD.encode(&mac(secret, "key\n", body).finalize().into_bytes()[..30])
}

/// The secret of a user's access key.
pub fn user_secret(secret: &[u8; 32], access_key_id: &str) -> String {
    STANDARD.encode(&mac(secret, "user\n", access_key_id).finalize().into_bytes()[..30])
}

/// What is attached to somebody: documents and the boundary's.
#[derive(Default)]
struct Rights {
    documents: Vec<String>,
    boundary: Option<String>,
}

impl Access {
    pub fn new(store: Arc<dyn Store>, owner: Owner, clock: Arc<dyn Clock>) -> Access {
        Access { storage: Storage::new(store), owner, clock, secret: OnceCell::new() }
    }

    async fn secret(&self) -> Result<&[u8; 32], ApiError> {
        self.secret.get_or_try_init(|| self.storage.session_secret()).await
    }

    async fn open(
        &self,
        role_arn: &str,
        role: Option<&Role>,
        session: &str,
        duration_s: u64,
    ) -> Result<Assumed, ApiError> {
        let (account, name) =
            role_of(role_arn).ok_or_else(|| errors::invalid_input(format!("{role_arn} is not a role")))?;
        let claims = Claims {
            v: TOKEN_FORMAT,
            key: format!("ASIA{}", id::upper(16)),
            role: role_arn.to_owned(),
            role_id: role.map_or_else(|| "AROAUNKNOWN".to_owned(), |role| role.id.clone()),
            session: session.to_owned(),
            expires_s: self.clock.now_ms() / 1000 + duration_s,
        };
        let json =
            serde_json::to_vec(&claims).map_err(|e| ApiError::internal(format!("writing a session token: {e}")))?;
        let body = URL_SAFE_NO_PAD.encode(json);
        let secret = self.secret().await?;
        let signature = URL_SAFE_NO_PAD.encode(mac(secret, "token\n", &body).finalize().into_bytes());
        Ok(Assumed {
            credentials: SessionCredentials {
                access_key_id: claims.key,
                secret_access_key: secret_key(secret, &body),
                session_token: format!("{body}.{signature}"),
            },
            expires_ms: claims.expires_s * 1000,
            arn: format!("arn:aws:sts::{account}:assumed-role/{name}/{session}"),
            user_id: format!("{}:{session}", claims.role_id),
        })
    }

    async fn find_session(&self, access_key_id: &str, token: &str) -> Result<Option<Credential>, ApiError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Ok(None);
        }
        let Some((body, signature)) = token.split_once('.') else {
            return Ok(None);
        };
        let secret = self.secret().await?;
        let is_signed = URL_SAFE_NO_PAD
            .decode(signature)
            .is_ok_and(|bytes| mac(secret, "token\n", body).verify_slice(&bytes).is_ok());
        if !is_signed {
            return Ok(None);
        }
        let claims = URL_SAFE_NO_PAD.decode(body).ok().and_then(|json| serde_json::from_slice::<Claims>(&json).ok());
        let Some(claims) = claims.filter(|claims| claims.v == TOKEN_FORMAT && claims.key == access_key_id) else {
            return Ok(None);
        };
        if self.clock.now_ms() / 1000 >= claims.expires_s {
            let message = "The security token included in the request is expired";
            return Err(ApiError::new(403, "ExpiredTokenException", message));
        }
        let Some((account, name)) = role_of(&claims.role) else {
            return Ok(None);
        };
        Ok(Some(Credential {
            secret_access_key: secret_key(secret, body),
            caller: Caller {
                arn: format!("arn:aws:sts::{account}:assumed-role/{name}/{}", claims.session),
                user_id: format!("{}:{}", claims.role_id, claims.session),
                account,
                kind: Principal::Role { role_arn: claims.role },
            },
        }))
    }

    /// A user's key, while it is active and its user is there.
    async fn find_key(&self, access_key_id: &str) -> Result<Option<Credential>, ApiError> {
        let key: Option<AccessKey> = self.storage.find("", access_key_id).await?;
        let Some(key) = key.filter(|key| key.is_active) else { return Ok(None) };
        let Some(user) = self.storage.find::<User>(&key.account, &key.user).await? else { return Ok(None) };
        Ok(Some(Credential {
            secret_access_key: user_secret(self.secret().await?, access_key_id),
            caller: Caller { arn: user.arn(), user_id: user.id, account: user.account, kind: Principal::User },
        }))
    }

    /// AssumeRole: the role has to be there and to trust the caller, whose own policies have been asked already.
    ///
    /// # Errors
    /// `AccessDenied` in both cases, as on AWS, so that names cannot be probed.
    pub async fn assume_role(
        &self,
        caller: &Caller,
        role_arn: &str,
        session_name: &str,
        duration_s: u64,
    ) -> Result<Assumed, ApiError> {
        let denied = || {
            ApiError::new(
                403,
                "AccessDenied",
                format!("User: {} is not authorized to perform: sts:AssumeRole on resource: {role_arn}", caller.arn),
            )
        };
        let (account, name) = role_of(role_arn).ok_or_else(denied)?;
        let role: Option<Role> = self.storage.find(&account, &name).await?;
        let role = role.filter(|role| role.arn() == role_arn).ok_or_else(denied)?;
        if !policy::trusts(&role.trust, caller) {
            return Err(denied());
        }
        if duration_s > u64::from(role.max_session_s) {
            return Err(ApiError::new(
                400,
                "ValidationError",
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
            ));
        }
        self.open(role_arn, Some(&role), session_name, duration_s).await
    }
}

#[async_trait]
impl Credentials for Access {
    async fn find(&self, access_key_id: &str, session_token: Option<&str>) -> Result<Option<Credential>, ApiError> {
        match session_token {
            Some(token) => self.find_session(access_key_id, token).await,
            None if access_key_id == self.owner.access_key_id => Ok(Some(Credential {
                secret_access_key: self.owner.secret_access_key.clone(),
                caller: Caller::owner(&self.owner.account),
            })),
            None => self.find_key(access_key_id).await,
        }
    }
}

#[async_trait]
impl Sessions for Access {
    async fn issue(&self, role_arn: &str, session_name: &str) -> Result<SessionCredentials, String> {
        let (account, name) = role_of(role_arn).ok_or_else(|| format!("{role_arn} is not a role"))?;
        // A role that is not there has no policies and may do nothing; functions are created with such on AWS's tools' word.
        let role: Option<Role> = self.storage.find(&account, &name).await.map_err(|e| e.to_string())?;
        self.open(role_arn, role.as_ref(), session_name, FUNCTION_SESSION_S)
            .await
            .map(|assumed| assumed.credentials)
            .map_err(|e| e.to_string())
    }
}

impl Access {
    /// The default document of a managed policy; `None` where it is gone.
    async fn document(&self, account: &str, arn: &str) -> Result<Option<String>, ApiError> {
        if let Some(policy) = managed::find(arn) {
            return Ok(Some(policy.document.to_owned()));
        }
        let name = arn.rsplit('/').next().unwrap_or_default();
        let own: Option<Policy> = self.storage.find(account, name).await?;
        Ok(own.filter(|policy| policy.arn() == arn).and_then(|policy| policy.document().map(str::to_owned)))
    }

    async fn collect<T: Holder>(&self, rights: &mut Rights, holder: &T) -> Result<(), ApiError> {
        let (inline, attached) = holder.policies();
        rights.documents.extend(inline.values().cloned());
        for arn in attached {
            rights.documents.extend(self.document(holder.account(), arn).await?);
        }
        Ok(())
    }

    /// A boundary whose policy is gone lets nothing through.
    async fn bound(&self, rights: &mut Rights, account: &str, boundary: Option<&String>) -> Result<(), ApiError> {
        if let Some(arn) = boundary {
            rights.boundary = Some(self.document(account, arn).await?.unwrap_or_default());
        }
        Ok(())
    }

    /// `None`: there is nobody of the name any more.
    async fn rights(&self, caller: &Caller) -> Result<Option<Rights>, ApiError> {
        let mut rights = Rights::default();
        match &caller.kind {
            Principal::Role { role_arn } => {
                let role: Option<Role> = match role_of(role_arn) {
                    Some((account, name)) => self.storage.find(&account, &name).await?,
                    None => None,
                };
                let Some(role) = role.filter(|role| role.arn() == *role_arn) else { return Ok(None) };
                self.collect(&mut rights, &role).await?;
                self.bound(&mut rights, &role.account, role.boundary.as_ref()).await?;
            }
            Principal::User => {
                let name = caller.arn.rsplit('/').next().unwrap_or_default();
                let user: Option<User> = self.storage.find(&caller.account, name).await?;
                let Some(user) = user.filter(|user| user.arn() == caller.arn) else { return Ok(None) };
                self.collect(&mut rights, &user).await?;
                for name in &user.groups {
                    if let Some(group) = self.storage.find::<Group>(&user.account, name).await? {
                        self.collect(&mut rights, &group).await?;
                    }
                }
                self.bound(&mut rights, &user.account, user.boundary.as_ref()).await?;
            }
            Principal::Owner | Principal::Service { .. } | Principal::Anonymous => return Ok(None),
        }
        Ok(Some(rights))
    }
}

#[async_trait]
impl Authorizer for Access {
    async fn authorize(&self, caller: &Caller, action: &str, resource: &str) -> Result<(), ApiError> {
        match &caller.kind {
            Principal::Owner => return Ok(()),
            // AWS answers it whatever the policies say.
            Principal::Role { .. } | Principal::User if action == "sts:GetCallerIdentity" => return Ok(()),
            _ => {}
        }
        let Some(rights) = self.rights(caller).await? else {
            return Err(errors::access_denied(&caller.arn, action, resource, false));
        };
        let known = cumulet_wire::policy::circumstances(caller);
        let decide = |documents: Vec<&str>| cumulet_wire::policy::decide(documents, action, resource, &known);
        let given = decide(rights.documents.iter().map(String::as_str).collect());
        let bound = rights.boundary.as_deref().map_or(Decision::Allow, |boundary| decide(vec![boundary]));
        match (given, bound) {
            (Decision::Allow, Decision::Allow) => Ok(()),
            (given, bound) => {
                let is_explicit = given == Decision::ExplicitDeny || bound == Decision::ExplicitDeny;
                Err(errors::access_denied(&caller.arn, action, resource, is_explicit))
            }
        }
    }
}
