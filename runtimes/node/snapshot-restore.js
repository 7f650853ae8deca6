// Runtime hooks of SnapStart for Node.js: what is to be done before the initialised function becomes a template, and what
// in each instance that is cloned of it. `require('snapshot-restore')`. Named after Lambda's module for Python; Lambda has
// none for Node.js. A function started plainly runs no hooks.
'use strict';

const hooks = globalThis[Symbol.for('cumulet.snapshotHooks')] || { beforeSnapshot: [], afterRestore: [] };

const register = (list) => (hook, ...args) => {
  if (typeof hook !== 'function') throw new TypeError('a hook is a function');
  list.push(() => hook(...args));
  return hook;
};

// Hooks may be asynchronous. The last one registered runs first before the snapshot, the first one first after it.
exports.registerBeforeSnapshot = register(hooks.beforeSnapshot);
exports.registerAfterRestore = register(hooks.afterRestore);
