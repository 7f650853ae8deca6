//! Where roles, users, policies and the secret of sessions are kept. The only file that knows the store and the layout of its keys
//! (`docs/formats/iam.md`).

use std::sync::Arc;

use cumulet_base::id;
use cumulet_store::{Check, Key, KeyWriter, Rev, Shard, Space, Store, StoreExt, Txn};
use cumulet_wire::error::ApiError;

use crate::entities::{AccessKey, Entity, User};
use crate::errors;
use crate::model::FORMAT;

const SPACE: Space = Space(2);
/// Attempts to change a row that others change meanwhile.
const UPDATE_ATTEMPTS_MAX: usize = 16;
const PAGE_ROWS: u32 = 200;

pub struct Storage {
    store: Arc<dyn Store>,
}

fn shard() -> Shard {
    Shard::of("iam")
}

fn key_of<T: Entity>(account: &str, name: &str) -> Key {
    KeyWriter::new().text(T::KIND).text(account).text(name).key()
}

fn secret_key() -> Key {
    KeyWriter::new().text("session-secret").key()
}

fn damaged(what: &str) -> ApiError {
    errors::storage("Reading", &cumulet_store::Error::Format(what.to_owned()))
}

fn decode<T: Entity>(value: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice::<T>(value)
        .ok()
        .filter(|found| found.format() == FORMAT)
        .ok_or_else(|| damaged("a row of another format"))
}

fn encode<T: Entity>(entity: &T) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec(entity).map_err(|e| ApiError::internal(format!("writing a {}: {e}", T::NOUN)))
}

impl Storage {
    pub fn new(store: Arc<dyn Store>) -> Storage {
        Storage { store }
    }

    async fn read<T: Entity>(&self, account: &str, name: &str) -> Result<Option<(T, Rev)>, ApiError> {
        self.store
            .get(shard(), SPACE, key_of::<T>(account, name))
            .await
            .map_err(|e| errors::storage("Reading", &e))?
            .map(|row| Ok((decode(&row.value)?, row.rev)))
            .transpose()
    }

    pub async fn find<T: Entity>(&self, account: &str, name: &str) -> Result<Option<T>, ApiError> {
        Ok(self.read(account, name).await?.map(|(found, _)| found))
    }

    pub async fn require<T: Entity>(&self, account: &str, name: &str) -> Result<T, ApiError> {
        self.find(account, name).await?.ok_or_else(|| T::not_found(name))
    }

    /// Those after the one named, in the order of their names.
    pub async fn list<T: Entity>(
        &self,
        account: &str,
        after: Option<&str>,
        path_prefix: &str,
        limit: usize,
    ) -> Result<Vec<T>, ApiError> {
        let (mut lo, hi) = KeyWriter::new().text(T::KIND).text(account).range();
        let behind = |key: &Key| -> Key {
            let mut next = key.to_vec();
            next.push(0);
            next.into()
        };
        if let Some(name) = after {
            lo = behind(&key_of::<T>(account, name));
        }
        let mut found: Vec<T> = Vec::new();
        while found.len() < limit {
            let rows = self
                .store
                .range(shard(), SPACE, lo.clone(), hi.clone(), PAGE_ROWS)
                .await
                .map_err(|e| errors::storage("Listing", &e))?;
            let Some(last) = rows.last() else { break };
            lo = behind(&last.key);
            for row in &rows {
                let entity: T = decode(&row.value)?;
                if entity.path().starts_with(path_prefix) {
                    found.push(entity);
                }
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    /// All of an account.
    pub async fn all<T: Entity>(&self, account: &str) -> Result<Vec<T>, ApiError> {
        self.list(account, None, "", usize::MAX).await
    }

    pub async fn create<T: Entity>(&self, entity: &T) -> Result<(), ApiError> {
        let key = key_of::<T>(entity.account(), entity.name());
        let txn = Txn::new(shard()).check(Check::Absent(SPACE, key.clone())).put(SPACE, key, encode(entity)?);
        if self.commit(txn).await? { Ok(()) } else { Err(T::exists(entity.name())) }
    }

    /// Changes one by compare-and-set; `change` may be asked several times and its last word counts.
    pub async fn update<T: Entity>(
        &self,
        account: &str,
        name: &str,
        mut change: impl FnMut(&mut T) -> Result<(), ApiError> + Send,
    ) -> Result<T, ApiError> {
        for _ in 0..UPDATE_ATTEMPTS_MAX {
            let (mut entity, rev) = self.read::<T>(account, name).await?.ok_or_else(|| T::not_found(name))?;
            change(&mut entity)?;
            let key = key_of::<T>(account, name);
            let txn = Txn::new(shard()).check(Check::RevIs(SPACE, key.clone(), rev)).put(SPACE, key, encode(&entity)?);
            if self.commit(txn).await? {
                return Ok(entity);
            }
        }
        Err(errors::concurrent_modification())
    }

    /// Deletes one if `check` has no objection to its present state.
    pub async fn delete<T: Entity>(
        &self,
        account: &str,
        name: &str,
        check: impl Fn(&T) -> Result<(), ApiError> + Send,
    ) -> Result<(), ApiError> {
        for _ in 0..UPDATE_ATTEMPTS_MAX {
            let (entity, rev) = self.read::<T>(account, name).await?.ok_or_else(|| T::not_found(name))?;
            check(&entity)?;
            let key = key_of::<T>(account, name);
            let txn = Txn::new(shard()).check(Check::RevIs(SPACE, key.clone(), rev)).delete(SPACE, key);
            if self.commit(txn).await? {
                return Ok(());
            }
        }
        Err(errors::concurrent_modification())
    }

    /// A key and its entry at the user, in one commit.
    pub async fn create_key(&self, key: &AccessKey, keys_max: usize) -> Result<(), ApiError> {
        self.change_keys(&key.account, &key.user, |user, txn| {
            if user.keys.len() >= keys_max {
                return Err(errors::limit_exceeded(format!("Cannot exceed quota for AccessKeysPerUser: {keys_max}")));
            }
            user.keys.insert(key.name.clone());
            Ok(txn.put(SPACE, key_of::<AccessKey>("", &key.name), encode(key)?))
        })
        .await
    }

    pub async fn delete_key(&self, account: &str, user: &str, id: &str) -> Result<(), ApiError> {
        self.change_keys(account, user, |user, txn| match user.keys.remove(id) {
            true => Ok(txn.delete(SPACE, key_of::<AccessKey>("", id))),
            false => Err(AccessKey::not_found(id)),
        })
        .await
    }

    async fn change_keys(
        &self,
        account: &str,
        user: &str,
        change: impl Fn(&mut User, Txn) -> Result<Txn, ApiError> + Send,
    ) -> Result<(), ApiError> {
        for _ in 0..UPDATE_ATTEMPTS_MAX {
            let found = self.read::<User>(account, user).await?;
            let (mut entity, rev) = found.ok_or_else(|| User::not_found(user))?;
            let key = key_of::<User>(account, user);
            let txn = change(&mut entity, Txn::new(shard()).check(Check::RevIs(SPACE, key.clone(), rev)))?;
            if self.commit(txn.put(SPACE, key, encode(&entity)?)).await? {
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
    async fn commit(&self, txn: Txn) -> Result<bool, ApiError> {
        self.store.apply(vec![txn]).await.map_err(|error| errors::storage("Writing", &error))
    }
}
