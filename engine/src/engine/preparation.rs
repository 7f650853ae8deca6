//! What can be made before the first invocation: a template, and instances that are provisioned.

use std::sync::{Arc, MutexGuard, PoisonError};

use super::Inner;
use crate::catalog::{Access, Target};

/// A preparation under way; over when dropped, however it ends.
struct UnderWay(Arc<Inner>, Target);

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut preparing = self.0.preparing();
        if let Some(at) = preparing.iter().position(|other| *other == self.1) {
            preparing.swap_remove(at);
        }
    }
}

impl Inner {
    fn preparing(&self) -> MutexGuard<'_, Vec<Target>> {
        // Nothing that can panic runs under the lock.
        self.preparing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns at once.
    pub(super) fn prepare(self: &Arc<Self>, target: Target) {
        self.preparing().push(target.clone());
        let under_way = UnderWay(self.clone(), target);
        tokio::spawn(async move {
            let UnderWay(inner, target) = &under_way;
            // The first invocation will meet the same, and tell its caller.
            if let Err(reason) = inner.make_ready(target).await {
                tracing::warn!(function = %target.name, "nothing could be made ready: {reason}");
            }
        });
    }

    pub(super) async fn is_preparing(&self, target: &Target) -> bool {
        if self.preparing().contains(target) {
            return true;
        }
        let Some(catalog) = self.catalog.get() else { return false };
        let function = catalog.resolve(target, &Access::Authorised).await;
        function.is_ok_and(|function| self.ports.sandbox.is_preparing(&function))
    }

    async fn make_ready(self: &Arc<Self>, target: &Target) -> Result<(), String> {
        let catalog = self.catalog.get().cloned().ok_or("no catalogue is connected")?;
        let function = catalog.resolve(target, &Access::Authorised).await.map_err(|e| e.to_string())?;
        let (spec, _) = self.spec(&function).await.map_err(|e| format!("{e:?}"))?;
        self.ports.sandbox.prepare(Arc::new(spec)).await;
        let known = self.pools.read().unwrap_or_else(PoisonError::into_inner).get(&function.revision).cloned();
        match known {
            Some(pool) => {
                pool.set_provisioned(function.provisioned());
                self.look_after(&pool);
            }
            None if function.provisioned() > 0 => {
                let pool = self.pool(&function, None).await;
                self.look_after(&pool);
            }
            None => {}
        }
        Ok(())
    }
}
