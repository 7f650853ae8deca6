//! The functions of this cloud: durable in the store, and a memory of what invocations need. The memory is exact for
//! every write of this process: a write drops what it changed before it answers, and a read that overlapped a write is
//! not remembered. Writes of other processes are not seen; there is one process.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use cumulet_engine::catalog::{Access, Catalog, Target};
use cumulet_engine::function::FunctionVersion;
use cumulet_engine::invocation::InvokeError;
use cumulet_store::Store;
use cumulet_wire::error::ApiError;

use crate::errors;
use crate::model::{Function, UrlOwner};
use crate::names::{LATEST, Named};
use crate::policy;
use crate::storage::{Storage, Stored, Written};

/// Attempts to change a row that others change meanwhile.
const UPDATE_ATTEMPTS_MAX: usize = 16;
/// Functions and URLs remembered; beyond it everything is forgotten and read again.
const MEMORY_MAX: usize = 20_000;

type Name = (String, String, String);

/// What is remembered of a function.
#[derive(Debug)]
pub struct Known {
    pub function: Function,
    /// `None`: the stored runtime is unknown to this program.
    pub version: Option<Arc<FunctionVersion>>,
}

#[derive(Default)]
struct Memory {
    /// Counts the writes; a read remembers its result only if this stood still meanwhile.
    writes: u64,
    functions: HashMap<Name, Arc<Known>>,
    urls: HashMap<String, Arc<UrlOwner>>,
}

pub struct Functions {
    storage: Arc<Storage>,
    memory: Arc<RwLock<Memory>>,
}

/// Forgets a function when the write of it is over, however it ended.
struct Forget {
    memory: Arc<RwLock<Memory>>,
    name: Name,
}

impl Drop for Forget {
    fn drop(&mut self) {
        let mut memory = self.memory.write().unwrap_or_else(PoisonError::into_inner);
        memory.writes += 1;
        if let Some(known) = memory.functions.remove(&self.name)
            && let Some(url) = &known.function.url
        {
            memory.urls.remove(&url.id);
        }
        let name = &self.name;
        memory.urls.retain(|_, owner| (&owner.account, &owner.region, &owner.name) != (&name.0, &name.1, &name.2));
    }
}

impl Functions {
    pub fn new(store: Arc<dyn Store>) -> Functions {
        Functions { storage: Arc::new(Storage::new(store)), memory: Arc::default() }
    }

    /// From memory where it can.
    pub async fn find(&self, account: &str, region: &str, name: &str) -> Result<Option<Arc<Known>>, ApiError> {
        let id: Name = (account.to_owned(), region.to_owned(), name.to_owned());
        let writes = {
            let memory = self.memory.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = memory.functions.get(&id) {
                return Ok(Some(Arc::clone(known)));
            }
            memory.writes
        };
        let Some(stored) = self.storage.get(account, region, name).await? else {
            return Ok(None);
        };
        let known = Arc::new(Known { version: stored.function.version().map(Arc::new), function: stored.function });
        let mut memory = self.memory.write().unwrap_or_else(PoisonError::into_inner);
        if memory.writes == writes {
            if memory.functions.len() >= MEMORY_MAX {
                memory.functions.clear();
            }
            memory.functions.insert(id, Arc::clone(&known));
        }
        Ok(Some(known))
    }

    /// The function, or AWS's error that it is not there.
    pub async fn require(&self, named: &Named) -> Result<Arc<Known>, ApiError> {
        self.find(&named.account, &named.region, &named.name)
            .await?
            .ok_or_else(|| errors::function_not_found(&named.qualified_arn()))
    }

    /// Whose a URL is; from memory where it can.
    pub async fn url_owner(&self, id: &str) -> Result<Option<Arc<UrlOwner>>, ApiError> {
        let writes = {
            let memory = self.memory.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(owner) = memory.urls.get(id) {
                return Ok(Some(Arc::clone(owner)));
            }
            memory.writes
        };
        let Some(owner) = self.storage.url_owner(id).await? else {
            return Ok(None);
        };
        let owner = Arc::new(owner);
        let mut memory = self.memory.write().unwrap_or_else(PoisonError::into_inner);
        if memory.writes == writes {
            if memory.urls.len() >= MEMORY_MAX {
                memory.urls.clear();
            }
            memory.urls.insert(id.to_owned(), Arc::clone(&owner));
        }
        Ok(Some(owner))
    }

    pub async fn list(
        &self,
        account: &str,
        region: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Function>, ApiError> {
        self.storage.list(account, region, after, limit).await
    }

    /// Durable when it returns.
    ///
    /// # Errors
    /// `ResourceConflictException` when the name is taken.
    pub async fn create(&self, function: Function) -> Result<(), ApiError> {
        let name = function.name.clone();
        let forget = self.forget(&function.account, &function.region, &function.name);
        let storage = Arc::clone(&self.storage);
        let written = finish(async move {
            let _forget = forget;
            storage.create(&function).await
        })
        .await?;
        match written {
            Written::Done => Ok(()),
            Written::Lost => Err(errors::conflict(format!("Function already exist: {name}"))),
        }
    }

    /// Changes a function by compare-and-set; `change` may be asked several times and its last word counts.
    /// Returns the function before and after.
    pub async fn update(
        &self,
        named: &Named,
        mut change: impl FnMut(&mut Function) -> Result<(), ApiError>,
    ) -> Result<(Function, Function), ApiError> {
        for _ in 0..UPDATE_ATTEMPTS_MAX {
            let stored = self.read(named).await?;
            let before = stored.function.clone();
            let mut next = before.clone();
            change(&mut next)?;
            let forget = self.forget(&named.account, &named.region, &named.name);
            let storage = Arc::clone(&self.storage);
            let written = finish(async move {
                let _forget = forget;
                let written = storage.replace(&stored, &next).await?;
                Ok((written, next))
            })
            .await?;
            if let (Written::Done, next) = written {
                return Ok((before, next));
            }
        }
        Err(errors::concurrent_update(&named.arn()))
    }

    pub async fn delete(&self, named: &Named) -> Result<(), ApiError> {
        for _ in 0..UPDATE_ATTEMPTS_MAX {
            let stored = self.read(named).await?;
            let forget = self.forget(&named.account, &named.region, &named.name);
            let storage = Arc::clone(&self.storage);
            let written = finish(async move {
                let _forget = forget;
                storage.delete(&stored).await
            })
            .await?;
            if written == Written::Done {
                return Ok(());
            }
        }
        Err(errors::concurrent_update(&named.arn()))
    }

    async fn read(&self, named: &Named) -> Result<Stored, ApiError> {
        self.storage
            .get(&named.account, &named.region, &named.name)
            .await?
            .ok_or_else(|| errors::function_not_found(&named.qualified_arn()))
    }

    fn forget(&self, account: &str, region: &str, name: &str) -> Forget {
        Forget { memory: Arc::clone(&self.memory), name: (account.to_owned(), region.to_owned(), name.to_owned()) }
    }
}

/// Runs a write to its end even if the caller goes away: a write that was committed but not forgotten would leave a
/// stale memory behind.
async fn finish<T: Send + 'static>(
    write: impl Future<Output = Result<T, ApiError>> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::spawn(write).await.unwrap_or_else(|e| Err(ApiError::internal(format!("writing a function: {e}"))))
}

#[async_trait]
impl Catalog for Functions {
    async fn resolve(&self, target: &Target, access: &Access) -> Result<Arc<FunctionVersion>, InvokeError> {
        let not_found = || InvokeError::NotFound { arn: target.arn() };
        if target.qualifier.as_deref().is_some_and(|q| q != LATEST) {
            return Err(not_found());
        }
        let known = self
            .find(&target.account, &target.region, &target.name)
            .await
            .map_err(|e| InvokeError::Internal { message: e.message })?
            .ok_or_else(not_found)?;
        if let Access::Service { principal, source_arn, source_account } = access {
            let question = policy::Question::service(principal, source_arn, source_account);
            if !policy::allows(&known.function.policy, "lambda:InvokeFunction", &question) {
                return Err(InvokeError::AccessDenied {
                    message: format!(
                        "{principal} is not authorized to perform: lambda:InvokeFunction on resource: {} \
                         because no resource-based policy allows the lambda:InvokeFunction action",
                        target.arn()
                    ),
                });
            }
        }
        known.version.clone().ok_or_else(|| InvokeError::InvalidRuntime {
            message: format!("unknown runtime `{}`", known.function.runtime),
        })
    }

    async fn reserved(&self, account: &str, region: &str) -> usize {
        match self.list(account, region, None, usize::MAX).await {
            Ok(all) => all.iter().filter_map(|f| f.concurrency_max).map(|n| n as usize).sum(),
            Err(e) => {
                tracing::warn!(error = %e.message, "the account's reservations cannot be read");
                0
            }
        }
    }
}
