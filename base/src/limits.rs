//! Every named bound of the platform in one place, so that nothing grows without one.
//! Where AWS documents a quota, it is AWS's
//! (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>).

/// Request and response of a synchronous invocation.
pub const INVOKE_PAYLOAD_BYTES_MAX: usize = 6 * 1024 * 1024;
/// An asynchronous one's event.
pub const INVOKE_EVENT_BYTES_MAX: usize = 1024 * 1024;
/// Asynchronous invocations of one function at a time.
pub const FUNCTION_EVENTS_CONCURRENCY: usize = 128;
/// A streamed answer, unless set otherwise.
pub const STREAM_BYTES_MAX: u64 = 200 * 1024 * 1024;
/// Pieces of a streamed answer that wait for their reader, and the longest piece a runtime may send.
pub const STREAM_PIECES_MAX: usize = 16;
pub const STREAM_PIECE_BYTES_MAX: usize = 256 * 1024;
/// The whole body of one API request; a zip of 50 MB in base64 and its envelope fit.
pub const REQUEST_BODY_BYTES_MAX: usize = 72 * 1024 * 1024;
/// Body of a request to an HTTP API or a function URL.
pub const HTTP_API_BODY_BYTES_MAX: usize = 10 * 1024 * 1024;
/// Request line and headers of one request.
pub const REQUEST_HEAD_BYTES_MAX: usize = 64 * 1024;
pub const REQUEST_HEADERS_MAX: usize = 200;
/// Time a client has to send its request line and headers.
pub const REQUEST_HEAD_TIMEOUT_MS: u64 = 20_000;
/// Time a client has between two pieces of a body.
pub const REQUEST_BODY_IDLE_TIMEOUT_MS: u64 = 20_000;
/// The rate below which a body is given up, once the time for one pause has passed.
pub const REQUEST_BODY_BYTES_PER_S_MIN: u64 = 16 * 1024;
/// Connections that come out of sandboxes, so that functions cannot use up those of everybody else.
pub const SANDBOX_CONNECTIONS_MAX: usize = 4096;
pub const CONNECTIONS_MAX: usize = 20_000;
/// Memory that bodies being received may take together; beyond it new ones wait.
pub const REQUEST_BODIES_BYTES_MAX: usize = 512 * 1024 * 1024;

/// A zip as uploaded.
pub const CODE_ZIP_BYTES_MAX: usize = 50 * 1024 * 1024;
/// A zip unpacked, with layers.
pub const CODE_UNZIPPED_BYTES_MAX: u64 = 262_144_000;
pub const CODE_FILES_MAX: usize = 100_000;
pub const FUNCTION_TIMEOUT_S_MAX: u32 = 900;
pub const FUNCTION_TIMEOUT_S_DEFAULT: u32 = 3;
pub const FUNCTION_MEMORY_MB_MIN: u32 = 128;
pub const FUNCTION_MEMORY_MB_MAX: u32 = 10_240;
/// Lambda gives one processor's time for this much memory
/// (<https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>).
pub const MEMORY_MB_PER_PROCESSOR: u32 = 1769;
pub const FUNCTION_EPHEMERAL_MB_MIN: u32 = 512;
pub const FUNCTION_EPHEMERAL_MB_MAX: u32 = 10_240;
pub const FUNCTION_ENVIRONMENT_BYTES_MAX: usize = 4096;
pub const FUNCTION_DESCRIPTION_MAX: usize = 256;
pub const FUNCTION_POLICY_BYTES_MAX: usize = 20_480;
pub const FUNCTION_LAYERS_MAX: usize = 5;
/// Processes and threads, and open files, of one instance.
pub const INSTANCE_TASKS_MAX: u32 = 1024;
pub const INSTANCE_FILES_MAX: u64 = 1024;
/// Initialisation of an instance, before the first event is handed over.
pub const INSTANCE_INIT_TIMEOUT_MS: u64 = 10_000;
/// Instances of the whole machine, unless set otherwise.
pub const INSTANCES_MAX: usize = 1000;
/// Invocations of one account at a time, unless set otherwise.
pub const FUNCTION_CONCURRENCY_MAX: usize = 1000;
/// New instances of one function version at once, and again after each such time
/// (<https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html#scaling-rate>).
pub const FUNCTION_BURST_MAX: usize = 1000;
pub const FUNCTION_BURST_MS: u64 = 10_000;
/// Instances of one function that are kept ready.
pub const FUNCTION_PROVISIONED_MAX: usize = 100;
/// A trace header that is passed on.
pub const TRACE_BYTES_MAX: usize = 1024;
/// Events that one instance takes at a time, where its function wants several.
pub const INSTANCE_CONCURRENCY_MAX: usize = 100;
/// Invocations that wait for an instance of one function version.
pub const PLACEMENT_QUEUE_MAX: usize = 10_000;
/// How long an invocation waits for an instance before it is throttled; longer than an initialisation may take.
pub const PLACEMENT_WAIT_MS: u64 = 60_000;
/// An idle instance is given back after this long at the latest; how soon it is depends on its function.
pub const INSTANCE_IDLE_MS: u64 = 1_800_000;
/// An instance takes no more invocations after this, however busy; its credentials last longer.
pub const INSTANCE_AGE_MS: u64 = 4 * 3_600_000;
/// The tail of the log that `LogType=Tail` returns.
pub const LOG_TAIL_BYTES_MAX: usize = 4096;
/// One log event; longer lines are cut into several.
pub const LOG_EVENT_BYTES_MAX: usize = 256 * 1024;
/// What one invocation may print before the rest is dropped, and said so.
pub const LOG_INVOCATION_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How often sums of usage are made durable.
pub const USAGE_PERIOD_MS: u64 = 5000;
/// Log events that share a commit, so that one with many does not hold up the others' writes.
pub const LOG_COMMIT_OPS_MAX: usize = 500;
pub const LOG_COMMIT_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Log events and records on their way to the store; beyond it their producers wait.
pub const RECORD_QUEUE_MAX: usize = 16_384;

/// Container images: layers of one, one of them packed (it is one blob), files and bytes of all of them unpacked.
pub const IMAGE_LAYERS_MAX: usize = 127;
pub const IMAGE_LAYER_BYTES_MAX: u64 = BLOB_BYTES_MAX as u64;
pub const IMAGE_FILES_MAX: usize = 500_000;
pub const IMAGE_BYTES_MAX: u64 = 10 * 1024 * 1024 * 1024;
/// What of a layer packed with Zstandard is kept to refer back to; what its own program uses at the utmost.
pub const IMAGE_WINDOW_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// A document of an image: manifest, configuration, index.
pub const IMAGE_DOCUMENT_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Images fetched at a time, each with one layer of its in memory; how long a registry may take for a document and for a layer.
pub const REGISTRY_PULLS_MAX: usize = 4;
pub const REGISTRY_DOCUMENT_TIMEOUT_MS: u64 = 30_000;
pub const REGISTRY_LAYER_TIMEOUT_MS: u64 = 15 * 60_000;
/// What a function may say of an image: words of entry point and command, characters of the working directory; Lambda's.
pub const IMAGE_WORDS_MAX: usize = 1500;
pub const IMAGE_DIRECTORY_CHARS_MAX: usize = 1000;
/// Execution environments that a scaling configuration may ask for; the service's model.
pub const FUNCTION_SCALING_MAX: i64 = 15_000;
/// An instance that a debugger looks at has this long, instead of its function's timeout.
pub const INSPECTED_MS: u64 = 24 * 3_600_000;
/// Connections of debuggers to one function at a time.
pub const INSPECTORS_MAX: usize = 8;
/// Extensions of one instance; Lambda's bound.
pub const EXTENSIONS_MAX: usize = 10;
/// Events kept for a subscriber to telemetry that has not subscribed yet, those on their way to one that has, and how often
/// a batch is sent before it is given up.
pub const TELEMETRY_EARLY_EVENTS_MAX: usize = 10_000;
pub const TELEMETRY_QUEUE_MAX: usize = 10_000;
pub const TELEMETRY_TRIES: u32 = 3;
/// How long an instance's end may take: the runtime's, beside extensions of its own process and beside external ones, and all
/// of it (<https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html>).
pub const SHUTDOWN_RUNTIME_MS: u64 = 500;
pub const SHUTDOWN_RUNTIME_BESIDE_MS: u64 = 300;
pub const SHUTDOWN_MS: u64 = 2_000;

/// Store: one key, one value, one transaction. PostgreSQL can keep them all. A key of S3 and its bucket fit into a key.
pub const STORE_KEY_BYTES_MAX: usize = 1280;
pub const STORE_VALUE_BYTES_MAX: usize = 64 * 1024;
/// A transaction of a hundred items of DynamoDB, with their index entries, stream records and the pieces of large ones, fits.
pub const STORE_TXN_OPS_MAX: usize = 16 * 1024;
pub const STORE_TXN_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Transactions of one group commit, and those waiting for the writer.
pub const STORE_GROUP_TXNS_MAX: usize = 1024;
pub const STORE_QUEUE_MAX: usize = 4096;
/// Shards of a store.
pub const STORE_SHARDS: u32 = 1024;

/// HTTP APIs: what one may have (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html>).
pub const HTTP_API_ROUTES_MAX: usize = 300;
pub const HTTP_API_INTEGRATIONS_MAX: usize = 300;
pub const HTTP_API_STAGES_MAX: usize = 10;
pub const HTTP_API_DEPLOYMENTS_MAX: usize = 100;
pub const HTTP_API_TIMEOUT_MS_MAX: u64 = 30_000;
/// HTTP APIs whose routes are kept ready in memory.
pub const HTTP_APIS_READY_MAX: usize = 10_000;
/// APIs of one account and region.
pub const HTTP_APIS_MAX: usize = 600;
/// REST APIs: what one may have (<https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html>).
pub const REST_API_RESOURCES_MAX: usize = 300;
pub const REST_API_STAGES_MAX: usize = 10;
pub const REST_API_PARTS_MAX: usize = 100;
/// Schemas within schemas that one value of a body is held against.
pub const REST_API_MODEL_DEPTH_MAX: usize = 64;
/// Values of a body held against schemas, each time that one is.
pub const REST_API_MODEL_STEPS_MAX: u32 = 2_000_000;
pub const REST_API_TIMEOUT_MS_MAX: u64 = 29_000;
/// REST APIs, keys and usage plans of one account and region, of each kind.
pub const REST_API_OWNED_MAX: usize = 10_000;
/// How long what an authorizer said is good for, unless it is set; and at most.
pub const AUTHORIZER_TTL_S: u64 = 300;
pub const AUTHORIZER_TTL_S_MAX: u64 = 3600;
/// What authorizers said that is kept, of all APIs together.
pub const AUTHORIZATIONS_MAX: usize = 10_000;
/// Issuers of tokens: how long their keys are kept, and before an unknown key makes them be asked again; their number, and
/// that of their keys; the time that one has to answer.
pub const JWT_ISSUER_KEYS_MS: u64 = 2 * 3_600_000;
pub const JWT_ISSUER_AGAIN_MS: u64 = 30_000;
pub const JWT_ISSUERS_MAX: usize = 1000;
pub const JWT_ISSUER_KEYS_MAX: usize = 100;
pub const JWT_ISSUER_TIMEOUT_MS: u64 = 2_000;
/// Store: bytes of the transactions waiting for the writer, and of those one group commit takes.
pub const STORE_QUEUE_BYTES_MAX: usize = 128 * 1024 * 1024;
pub const STORE_GROUP_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Reads of one store that run at the same time; further ones wait.
pub const STORE_READERS_MAX: usize = 8;
/// A read of up to so many rows runs on the thread that asks; one that took this long has waited for the disk or a
/// processor, and sends up to so many of those after it to other threads.
pub const STORE_READ_SHORT_ROWS_MAX: u64 = 16;
pub const STORE_READ_SLOW_US: u128 = 500;
pub const STORE_READS_AWAY_MAX: u32 = 1024;
/// A transaction id is remembered until its shard is this many revisions further.
pub const STORE_IDS_REVS: u64 = 8192;
/// Log entries that one commit forgets; a longer trim takes several.
pub const STORE_TRIM_ROWS_MAX: usize = 4096;
/// Pages of the embedded store's log after which it is copied back, and with which the writer sees to it that it begins anew.
pub const STORE_LOG_PAGES: u32 = 2000;
pub const STORE_LOG_PAGES_LONG: u32 = 12_000;
/// SQL statements that one connection of the embedded store keeps ready.
pub const STORE_STATEMENTS_CACHED: usize = 32;
/// A blob that is put and got whole, in memory.
pub const BLOB_BYTES_MAX: usize = 256 * 1024 * 1024;
/// What is gathered of a blob being streamed before it is written; S3 takes no smaller parts than this.
pub const BLOB_PIECE_BYTES: usize = 5 * 1024 * 1024;
/// The same where the blobs are in a directory, which has no smallest part.
pub const BLOB_PIECE_LOCAL_BYTES: usize = 1024 * 1024;
/// A bucket that blobs are in: until it is connected, until an answer begins or goes on, and until nothing is tried again.
pub const BLOB_BUCKET_CONNECT_TIMEOUT_MS: u64 = 10_000;
pub const BLOB_BUCKET_ANSWER_TIMEOUT_MS: u64 = 60_000;
pub const BLOB_BUCKET_RETRY_TIMEOUT_MS: u64 = 30_000;
pub const BLOB_BUCKET_RETRIES_MAX: usize = 5;
/// Connections to it that are kept while nothing goes over them.
pub const BLOB_BUCKET_IDLE_CONNECTIONS_MAX: usize = 32;
pub const BLOB_BUCKET_IDLE_MS: u64 = 20_000;

/// S3 (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>): one PUT or part, and the smallest part but the last.
pub const OBJECT_PUT_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;
pub const OBJECT_PART_BYTES_MIN: u64 = 5 * 1024 * 1024;
pub const OBJECT_PARTS_MAX: i32 = 10_000;
pub const OBJECT_METADATA_BYTES_MAX: usize = 2048;
/// A request that is a document and no object: a completion of ten thousand parts is one megabyte.
pub const OBJECT_DOCUMENT_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Objects up to this size live in the store, next to their records: as much as one value holds.
pub const OBJECT_INLINE_BYTES_MAX: usize = STORE_VALUE_BYTES_MAX;
/// As much of a body is hashed at a time, beside the receiving of the next.
pub const OBJECT_HASHED_BYTES: usize = 512 * 1024;
/// What stands before the file in a browser's form, and after it.
pub const OBJECT_FORM_FIELDS_BYTES_MAX: usize = 20_000;
/// How often blobs without a record are looked for, and how many names at a time before a pause.
pub const OBJECT_SCRUB_MS: u64 = 60 * 60 * 1000;
pub const OBJECT_SCRUB_NAMES: usize = 256;
pub const OBJECT_SCRUB_PAUSE_MS: u64 = 50;
/// How often a write that meets another one of the same key begins anew.
pub const OBJECT_COMMIT_TRIES: usize = 64;
/// A notification that its destination does not take is tried again for this long.
pub const OBJECT_NOTIFICATION_RETRY_MS: u64 = 24 * 60 * 60 * 1000;
/// S3's bounds on what is said of buckets and objects.
pub const OBJECT_TAGS_MAX: usize = 10;
pub const BUCKET_TAGS_MAX: usize = 50;
pub const BUCKET_POLICY_BYTES_MAX: usize = 20 * 1024;
pub const BUCKET_CORS_RULES_MAX: usize = 100;
pub const BUCKET_LIFECYCLE_RULES_MAX: usize = 1000;
/// How often what lifecycle rules say is carried out; they count in days.
pub const BUCKET_LIFECYCLE_PERIOD_MS: u64 = 60 * 60 * 1000;
/// How often what buckets hold is added up for the bill.
pub const BUCKET_MEASURE_PERIOD_MS: u64 = 60 * 60 * 1000;

/// Parameters of one account and region, and the versions of one that are kept; AWS's.
pub const PARAMETERS_MAX: usize = 10_000;
pub const PARAMETER_VERSIONS_MAX: u64 = 100;

/// CloudFormation: templates and stacks. AWS takes 1 MB by URL and less in a request; here a request may bring it all.
pub const TEMPLATE_BYTES_MAX: usize = 1_000_000;
pub const TEMPLATE_NODES_MAX: usize = 100_000;
pub const TEMPLATE_DEPTH_MAX: usize = 64;
/// Answers of macros for one template.
pub const TEMPLATE_MACROS_MAX: usize = 100;
pub const STACK_RESOURCES_MAX: usize = 500;
pub const STACKS_MAX: usize = 2000;
/// Stacks that are being created, changed or deleted at the same time.
pub const STACKS_RUNNING_MAX: usize = 64;
/// Whoever begins with a stack is answered when it is done, or after this.
pub const STACK_ANSWER_MS: u64 = 1000;
/// Resources of one stack that are being made, changed or deleted at the same time.
pub const STACK_STEPS_MAX: usize = 16;
/// How long a custom resource may take to answer, unless it says so itself; AWS's bounds.
pub const CUSTOM_RESOURCE_TIMEOUT_S: u64 = 3600;
/// The longest answer of a custom resource; AWS's.
pub const CUSTOM_RESOURCE_REPLY_BYTES_MAX: usize = 4096;
pub const STACK_EVENTS_PAGE: u32 = 100;
/// Domain names of APIs in all, and API mappings of one; the latter is AWS's.
pub const DOMAINS_MAX: usize = 1000;
pub const DOMAIN_MAPPINGS_MAX: usize = 200;
/// How long a hook of a deployment may take to report; AWS's.
pub const DEPLOYMENT_HOOK_MS_MAX: u64 = 3_600_000;
/// How often the alarms of a deployment under way are looked at.
pub const DEPLOYMENT_ALARMS_MS: u64 = 10_000;
/// Alarms and triggers of a deployment group, and applications, groups of one of them, configurations; AWS's.
pub const DEPLOYMENT_ALARMS_MAX: usize = 10;
pub const DEPLOYMENT_TRIGGERS_MAX: usize = 10;
pub const DEPLOYMENT_NAMES_MAX: usize = 1000;
/// Deployments of a group that are kept; older ones go.
pub const DEPLOYMENTS_KEPT_MAX: usize = 100;
pub const DEPLOYMENT_APPSPEC_BYTES_MAX: usize = 16 * 1024;
/// Signals that one wait condition may wait for, and that are kept for it.
pub const STACK_SIGNALS_MAX: usize = 1000;
/// Topics that are told of a stack's events; AWS's.
pub const STACK_TOPICS_MAX: usize = 5;
/// Rollback triggers of a stack, and how long they may be looked at after its last step; AWS's.
pub const STACK_TRIGGERS_MAX: usize = 5;
pub const STACK_MONITORING_MINUTES_MAX: u64 = 180;
/// How often they are looked at.
pub const STACK_ALARMS_MS: u64 = 1000;
/// Change sets of one stack.
pub const STACK_CHANGE_SETS_MAX: usize = 100;
/// Log events that wait for the writer or are being written, in bytes; producers wait beyond it.
pub const LOG_QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Live templates at a time, and their part of the memory for instances, in percent; each holds some 40 to 80 MB.
pub const TEMPLATES_MAX: usize = 256;
pub const TEMPLATES_MEMORY_PERCENT: u64 = 50;
/// Templates of one function version: one clones one instance after the other.
pub const FUNCTION_TEMPLATES_MAX: usize = 2;
/// Clones of one template that wait for somebody who wants them, and the memory that each copies meanwhile: what an
/// earlier one wrote, as pages and as ranges of them.
pub const CLONES_AHEAD_MAX: usize = 2;
pub const CLONE_PAGES_AHEAD_MAX: usize = 512;
pub const CLONE_RANGES_AHEAD_MAX: usize = 512;
/// Function versions of which it is remembered whether they can be cloned.
pub const TEMPLATES_KNOWN_MAX: usize = 10_000;
/// Tasks of a template and all its clones together, where the kernel counts them by user; each clone has its own limit.
pub const TEMPLATE_TASKS_MAX: u64 = 1 << 16;
/// SQS (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>).
pub const QUEUE_MESSAGE_BYTES_MAX: usize = 1024 * 1024;
pub const QUEUE_BATCH_MAX: usize = 10;
pub const QUEUE_VISIBILITY_S_MAX: u64 = 43_200;
pub const QUEUE_DELAY_S_MAX: u64 = 900;
pub const QUEUE_WAIT_S_MAX: u64 = 20;
pub const QUEUE_DEDUPLICATION_MS: u64 = 300_000;
pub const QUEUE_ATTRIBUTES_MAX: usize = 10;
/// Attempts of receives that are remembered of one FIFO queue.
pub const QUEUE_ATTEMPTS_MAX: usize = 10_000;
/// Rows that one receive looks at before it says that there is nothing, and those one commit of the sweep takes.
pub const QUEUE_PAGE_ROWS: u32 = 100;
/// Rows that are counted at once, while commits wait.
pub const QUEUE_TALLY_ROWS: u32 = 5000;
/// Fair queues (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues-detailed.html>):
/// in flight of one group, before it can be noisy for it; how long a silent group stays noisy; how long handling is recent.
pub const QUEUE_NOISE_IN_FLIGHT_MIN: u64 = 30;
pub const QUEUE_NOISE_QUIET_MS: u64 = 300_000;
pub const QUEUE_NOISE_WINDOW_MS: u64 = 60_000;
/// Groups of a queue whose doings are remembered, and those one receive looks into for messages of quiet ones.
pub const QUEUE_TENANTS_MAX: usize = 100_000;
pub const QUEUE_TENANTS_LOOKED_AT: usize = 64;

/// SNS (<https://docs.aws.amazon.com/general/latest/gr/sns.html>).
pub const TOPICS_MAX: usize = 100_000;
pub const TOPIC_MESSAGE_BYTES_MAX: usize = 256 * 1024;
pub const TOPIC_BATCH_MAX: usize = 10;
pub const TOPIC_SUBJECT_MAX: usize = 100;
pub const TOPIC_TAGS_MAX: usize = 50;
pub const TOPIC_DEDUPLICATION_MS: u64 = 300_000;
/// Filter policies: one, its keys and their values multiplied, those of one topic.
pub const TOPIC_FILTER_BYTES_MAX: usize = 256 * 1024;
pub const TOPIC_FILTER_KEYS_MAX: usize = 5;
pub const TOPIC_FILTER_COMBINATIONS_MAX: u64 = 150;
pub const TOPIC_FILTERS_MAX: usize = 200;
/// Retries of a web endpoint, and the pause between two.
pub const TOPIC_RETRIES_MAX: u32 = 100;
pub const TOPIC_RETRY_S_MAX: u32 = 3600;
/// How long a web endpoint has to answer.
pub const TOPIC_POST_TIMEOUT_MS: u64 = 15_000;
/// Subscriptions that a message reaches by one commit, and what their tasks may hold; further ones follow by a task.
pub const TOPIC_FANOUT_MAX: usize = 500;
pub const TOPIC_FANOUT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// A subscription that nobody confirms is forgotten.
pub const TOPIC_CONFIRMATION_MS: u64 = 3 * 24 * 3_600_000;

/// DynamoDB (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>):
/// levels of lists and maps in one attribute.
pub const DYNAMODB_NESTING_MAX: usize = 32;
/// The text of one expression, its operators and functions, the operands of `IN`.
pub const DYNAMODB_EXPRESSION_BYTES_MAX: usize = 4096;
pub const DYNAMODB_EXPRESSION_OPERATORS_MAX: usize = 300;
pub const DYNAMODB_IN_OPERANDS_MAX: usize = 100;
/// Levels of parentheses, functions and `NOT` in one expression.
pub const DYNAMODB_EXPRESSION_DEPTH_MAX: usize = 100;
/// One statement of PartiQL, and the statements of one batch.
pub const DYNAMODB_STATEMENT_BYTES_MAX: usize = 8192;
pub const DYNAMODB_BATCH_STATEMENTS_MAX: usize = 25;
/// Names and values of placeholders, all together and one of the former.
pub const DYNAMODB_PLACEHOLDER_BYTES_MAX: usize = 2 * 1024 * 1024;
pub const DYNAMODB_PLACEHOLDER_NAME_BYTES_MAX: usize = 255;
/// The name of an attribute; of one that is part of a key it is less.
pub const DYNAMODB_ATTRIBUTE_NAME_BYTES_MAX: usize = 64 * 1024 - 1;
/// DynamoDB (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html>).
pub const TABLES_MAX: usize = 2500;
pub const TABLE_ITEM_BYTES_MAX: usize = 400 * 1024;
pub const TABLE_HASH_KEY_BYTES_MAX: usize = 2048;
pub const TABLE_RANGE_KEY_BYTES_MAX: usize = 1024;
pub const TABLE_GLOBAL_INDEXES_MAX: usize = 20;
pub const TABLE_LOCAL_INDEXES_MAX: usize = 5;
/// Attributes named by the projections of all indexes of one table together.
pub const TABLE_PROJECTED_ATTRIBUTES_MAX: usize = 100;
/// What one Query or Scan looks at before it answers with a page.
pub const TABLE_PAGE_BYTES_MAX: usize = 1024 * 1024;
pub const TABLE_BATCH_GET_KEYS_MAX: usize = 100;
pub const TABLE_BATCH_WRITE_MAX: usize = 25;
/// What a batch answers or takes; keys beyond it come back as unprocessed.
pub const TABLE_BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;
pub const TABLE_TRANSACTION_ITEMS_MAX: usize = 100;
pub const TABLE_TRANSACTION_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A repeated transaction is recognised by its token for this long.
pub const TABLE_TOKEN_MS: u64 = 600_000;
/// How long clients keep the answer of DescribeEndpoints.
pub const TABLE_ENDPOINT_MINUTES: u64 = 1440;
pub const TABLE_SEGMENTS_MAX: u32 = 1_000_000;
/// Stream records are kept this long; at most so many are answered at once.
pub const TABLE_STREAM_MS: u64 = 24 * 3_600_000;
pub const TABLE_STREAM_RECORDS_MAX: u32 = 1000;
/// Points in time that a table can be restored to.
pub const TABLE_RECOVERY_DAYS_MAX: u64 = 35;
/// Unused provisioned capacity is kept for this many seconds.
pub const TABLE_BURST_S: u64 = 300;
/// A write begins anew this often when the table or the item changes under it.
pub const TABLE_WRITE_TRIES: usize = 64;
/// Rows one step of work in the background takes: filling an index, copying, deleting, expiring.
pub const TABLE_STEP_ROWS: u32 = 200;
/// How often expired items are looked for.
pub const TABLE_EXPIRY_PERIOD_MS: u64 = 5000;
/// A projected item up to this size is kept in its index entry; a larger one is read from the table.
pub const TABLE_INDEX_INLINE_BYTES_MAX: usize = 8 * 1024;

/// Tasks to be carried out later: one body (an asynchronous event and its envelope fit), those of one lane at a time, what all
/// of them may hold in memory, and what one read of them takes.
pub const DELIVERY_BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
pub const DELIVERY_LANE_CONCURRENCY: usize = 64;
pub const DELIVERY_MEMORY_BYTES: usize = 512 * 1024 * 1024;
pub const DELIVERY_MEMORY_UNIT_BYTES: usize = 64 * 1024;
pub const DELIVERY_PAGE_TASKS: u32 = 256;
pub const DELIVERY_PAGE_BYTES: u32 = 4 * 1024 * 1024;
/// How long a commit whose asker went away is waited for.
pub const DELIVERY_LATE_COMMIT_MS: u64 = 10_000;
/// A lane that waits for a time looks at the clock at least this often: clocks are set.
pub const DELIVERY_CLOCK_MS: u64 = 30_000;
/// After an attempt that failed inside the platform, or a store that did.
pub const DELIVERY_PAUSE_MS: u64 = 1000;
/// A consumer of a stream that is not there looks again after this.
pub const TABLE_STREAM_ABSENT_MS: u64 = 5000;

/// Event source mappings: what the service's model says, and how many one function's batches run at a time at first.
pub const MAPPING_QUEUE_BATCH_MAX: u32 = 10_000;
pub const MAPPING_FIFO_BATCH_MAX: u32 = 10;
pub const MAPPING_STREAM_BATCH_DEFAULT: u32 = 100;
pub const MAPPING_FILTERS_MAX: usize = 5;
pub const MAPPING_CONCURRENCY_FIRST: usize = 5;
pub const MAPPING_CONCURRENCY_MAX: usize = 1000;
/// Records of one batch, in the form handed to the function.
pub const MAPPING_PAYLOAD_BYTES_MAX: usize = INVOKE_PAYLOAD_BYTES_MAX - 64 * 1024;
/// Between two attempts of what failed: the first pause, and the longest.
pub const MAPPING_PAUSE_MS: u64 = 100;
pub const MAPPING_PAUSE_MS_MAX: u64 = 30_000;

/// EventBridge (<https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html>): entries of one PutEvents, and the
/// bytes of one and of all of them together.
pub const EVENTS_ENTRIES_MAX: usize = 10;
pub const EVENTS_ENTRY_BYTES_MAX: usize = 1024 * 1024;
pub const EVENTS_BUSES_MAX: usize = 100;
pub const EVENTS_RULES_MAX: usize = 300;
pub const EVENTS_TARGETS_MAX: usize = 5;
pub const EVENTS_POLICY_BYTES_MAX: usize = 10 * 1024;
pub const EVENTS_PATTERN_BYTES_MAX: usize = 4096;
pub const EVENTS_TAGS_MAX: usize = 50;
/// Buses whose rules are kept compiled, and records one read takes.
pub const EVENTS_ROUTES_KEPT: usize = 10_000;
pub const EVENTS_PAGE_ROWS: usize = 200;
/// Compiled rules are read anew after this, as one who changed them may have gone before it was said so.
pub const EVENTS_ROUTE_MS: u64 = 5000;
/// What one commit of deliveries takes.
pub const EVENTS_COMMIT_BYTES: usize = 8 * 1024 * 1024;
/// Buses one event goes through: rules may lead in circles.
pub const EVENTS_HOPS_MAX: u32 = 8;
/// What one step of a replay reads.
pub const EVENTS_REPLAY_PAGE_ROWS: u32 = 200;
pub const EVENTS_REPLAY_PAGE_BYTES: u32 = 4 * 1024 * 1024;
/// How often an archive lets go of what is too old.
pub const EVENTS_EXPIRY_PERIOD_MS: u64 = 3_600_000;
/// What is read of the answer to a request that this cloud makes by itself.
pub const OUTBOUND_ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Schedules that one step takes of a group that is being deleted.
pub const SCHEDULER_CLEAR_ROWS: usize = 200;

/// How often the use of keys under usage plans is written, and the days of it that are kept.
pub const API_USAGE_PERIOD_MS: u64 = 1000;
pub const API_USAGE_DAYS_MAX: u32 = 90;

/// CloudWatch (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_limits.html>): data of one
/// PutMetricData, values of one datum, queries of one GetMetricData and data points of its answer.
pub const METRIC_DATA_MAX: usize = 1000;
pub const METRIC_VALUES_MAX: usize = 150;
pub const METRIC_DIMENSIONS_MAX: usize = 30;
pub const METRIC_QUERIES_MAX: usize = 500;
pub const METRIC_POINTS_MAX: usize = 100_800;
pub const METRIC_STATISTICS_POINTS_MAX: u64 = 1440;
/// Series of an account's region; AWS names no such bound.
pub const METRICS_MAX: usize = 100_000;
/// Different values that a stretch of time keeps before values near each other are taken for one.
pub const METRIC_VALUES_KEPT: usize = 300;
/// Calls that wait to be written, and rows kept in memory to be added to.
pub const METRIC_QUEUE_MAX: usize = 1024;
pub const METRIC_ROWS_OPEN: usize = 20_000;
/// The time of a series' last value is written down anew after this.
pub const METRIC_SEEN_S: u64 = 3600;
/// How often what the platform measures of itself is written, and how much of it waits for that.
pub const METRIC_PLATFORM_PERIOD_MS: u64 = 5000;
pub const METRIC_PLATFORM_SUMS_MAX: usize = 50_000;
/// How often old metrics are forgotten, and how long after a start for the first time.
pub const METRIC_TIDY_FIRST_MS: u64 = 60_000;
pub const METRIC_TIDY_PERIOD_MS: u64 = 3_600_000;
/// Terms and depth of one expression of metric math.
pub const METRIC_EXPRESSION_NODES_MAX: usize = 500;
pub const METRIC_EXPRESSION_DEPTH_MAX: usize = 32;
/// Alarms are looked at so long after a period has ended, and what is kept of their history.
pub const ALARM_DELAY_MS: u64 = 1000;
pub const ALARM_HISTORY_MS: u64 = 30 * 86_400_000;
pub const ALARM_HISTORY_ITEMS_MAX: usize = 5000;
/// Alarms that one rule names.
pub const ALARM_RULE_NAMES_MAX: usize = 100;
