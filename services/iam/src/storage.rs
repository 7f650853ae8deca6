//! Where roles and the secret of sessions are kept. The only file that knows the store and the layout of its keys
//! (`docs/formats/iam.md`).

use std::sync::Arc;

use cumulet_base::id;
use cumulet_store::{Check, Key, KeyWriter, Outcome, Rev, Shard, Space, Store, StoreExt, Txn};
use cumulet_wire::error::ApiError;

use crate::errors;
use crate::model::{FORMAT, Role};

const SPACE: Space = Space(2);
/// A commit whose end is unknown is repeated, with the same id, this often.
const UNKNOWN_ATTEMPTS_MAX: usize = 8;
/// Attempts to change a row that others change meanwhile.
const UPDATE_ATTEMPTS_MAX: usize = 16;
const PAGE_ROWS: u32 = 200;

pub struct Storage {
    store: Arc<dyn Store>,
}

fn shard() -> Shard {
    Shard::of("iam")
}

fn role_key(account: &str, name: &str) -> Key {
    KeyWriter::new().text("role").text(account).text(name).key()
}

fn secret_key() -> Key {
    KeyWriter::new().text("session-secret").key()
}

fn damaged(what: &str) -> ApiError {
    errors::storage("Reading", &cumulet_store::Error::Format(what.to_owned()))
}

fn decode(value: &[u8]) -> Result<Role, ApiError> {
    serde_json::from_slice::<Role>(value)
        .ok()
        .filter(|role| role.v == FORMAT)
        .ok_or_else(|| damaged("a role of another format"))
}

fn encode(role: &Role) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec(role).map_err(|e| ApiError::internal(format!("writing a role: {e}")))
}

impl Storage {
    pub fn new(store: Arc<dyn Store>) -> Storage {
        Storage { store }
    }

    async fn read(&self, account: &str, name: &str) -> Result<Option<(Role, Rev)>, ApiError> {
        self.store
            .get(shard(), SPACE, role_key(account, name))
            .await
            .map_err(|e| errors::storage("Reading a role", &e))?
            .map(|row| Ok((decode(&row.value)?, row.rev)))
            .transpose()
    }

    pub async fn find(&self, account: &str, name: &str) -> Result<Option<Role>, ApiError> {
        Ok(self.read(account, name).await?.map(|(role, _)| role))
    }

    pub async fn require(&self, account: &str, name: &str) -> Result<Role, ApiError> {
        self.find(account, name).await?.ok_or_else(|| errors::role_not_found(name))
    }

    /// Roles after the one named, in the order of their names.
    pub async fn list(
        &self,
        account: &str,
        after: Option<&str>,
        path_prefix: &str,
        limit: usize,
    ) -> Result<Vec<Role>, ApiError> {
        let (mut lo, hi) = KeyWriter::new().text("role").text(account).range();
        let behind = |key: &Key| -> Key {
            let mut next = key.to_vec();
            next.push(0);
            next.into()
        };
        if let Some(name) = after {
            lo = behind(&role_key(account, name));
        }
        let mut found = Vec::new();
        while found.len() < limit {
            let rows = self
                .store
                .range(shard(), SPACE, lo.clone(), hi.clone(), PAGE_ROWS)
                .await
                .map_err(|e| errors::storage("Listing roles", &e))?;
            let Some(last) = rows.last() else { break };
            lo = behind(&last.key);
            for row in &rows {
                let role = decode(&row.value)?;
                if role.path.starts_with(path_prefix) {
                    found.push(role);
                }
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    pub async fn create(&self, role: &Role) -> Result<(), ApiError> {
        let key = role_key(&role.account, &role.name);
        let txn = Txn::new(shard()).check(Check::Absent(SPACE, key.clone())).put(SPACE, key, encode(role)?);
        if self.commit(txn).await? { Ok(()) } else { Err(errors::role_exists(&role.name)) }
    }

    /// Changes a role by compare-and-set; `change` may be asked several times and its last word counts.
    pub async fn update(
        &self,
        account: &str,
        name: &str,
        mut change: impl FnMut(&mut Role) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        for _ in 0..UPDATE_ATTEMPTS_MAX {
            let (mut role, rev) = self.read(account, name).await?.ok_or_else(|| errors::role_not_found(name))?;
            change(&mut role)?;
            let key = role_key(account, name);
            let txn = Txn::new(shard()).check(Check::RevIs(SPACE, key.clone(), rev)).put(SPACE, key, encode(&role)?);
            if self.commit(txn).await? {
                return Ok(());
            }
        }
        Err(errors::concurrent_modification())
    }

    /// Deletes a role if `check` has no objection to its present state.
    pub async fn delete(
        &self,
        account: &str,
        name: &str,
        check: impl Fn(&Role) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        for _ in 0..UPDATE_ATTEMPTS_MAX {
            let (role, rev) = self.read(account, name).await?.ok_or_else(|| errors::role_not_found(name))?;
            check(&role)?;
            let key = role_key(account, name);
            let txn = Txn::new(shard()).check(Check::RevIs(SPACE, key.clone(), rev)).delete(SPACE, key);
            if self.commit(txn).await? {
                return Ok(());
            }
        }
        Err(errors::concurrent_modification())
    }

    /// The secret that sessions are signed with; drawn when it is first asked for.
    pub async fn session_secret(&self) -> Result<[u8; 32], ApiError> {
        for _ in 0..UPDATE_ATTEMPTS_MAX {
            let row = self
                .store
                .get(shard(), SPACE, secret_key())
                .await
                .map_err(|e| errors::storage("Reading the session secret", &e))?;
            if let Some(row) = row {
                return match row.value.split_first() {
                    Some((&FORMAT, secret)) => secret.try_into().map_err(|_| damaged("a session secret")),
                    _ => Err(damaged("a session secret of another format")),
                };
            }
            let mut value = vec![FORMAT];
            value.extend(id::random::<32>());
            let txn = Txn::new(shard()).check(Check::Absent(SPACE, secret_key())).put(SPACE, secret_key(), value);
            self.commit(txn).await?;
        }
        Err(errors::concurrent_modification())
    }

    /// Whether it was done; otherwise a check failed.
    async fn commit(&self, mut txn: Txn) -> Result<bool, ApiError> {
        txn.id = Some(id::random());
        for _ in 0..UNKNOWN_ATTEMPTS_MAX {
            let outcome = self.store.commit(txn.clone()).await.map_err(|e| errors::storage("Writing a role", &e))?;
            match outcome {
                Outcome::Done(_) => return Ok(true),
                Outcome::Conflict { .. } => return Ok(false),
                Outcome::Unknown => {}
            }
        }
        Err(ApiError::internal("the end of a commit stayed unknown"))
    }
}
