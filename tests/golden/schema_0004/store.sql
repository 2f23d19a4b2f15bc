BEGIN TRANSACTION;
CREATE TABLE assessments (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	id TEXT NOT NULL, 
	trace_seq INTEGER NOT NULL, 
	kind VARCHAR(20) NOT NULL, 
	name TEXT NOT NULL, 
	value_json TEXT NOT NULL, 
	rationale TEXT, 
	source_type VARCHAR(20) NOT NULL, 
	source_id TEXT NOT NULL, 
	created VARCHAR(40) NOT NULL, 
	supersedes TEXT, 
	retracted VARCHAR(40), 
	error TEXT, 
	metadata_json TEXT NOT NULL, 
	content_hash VARCHAR(64) NOT NULL, 
	is_current BOOLEAN NOT NULL, 
	CONSTRAINT uq_assessments_id UNIQUE (id), 
	CONSTRAINT fk_assessments_trace_seq FOREIGN KEY(trace_seq) REFERENCES traces (seq) ON DELETE CASCADE
);
INSERT INTO "assessments" VALUES(1,'as-8cddac0243a5471387f330ddf820f806',1,'feedback','ok','true','\0 \ud800 ‮ é 👩‍💻 \\ud800 
','HUMAN','ana','2026-11-23T06:05:28.127588+00:00',NULL,NULL,NULL,'{}','2c7a9351ddd847909048ea50adcc3ec09b22e2ad6016c3a961ced55751268d0a',0);
INSERT INTO "assessments" VALUES(2,'as-55b13363e8d34eaab87504bee2496863',1,'feedback','ok','false',NULL,'HUMAN','ana','2026-11-23T06:05:28.145002+00:00','as-8cddac0243a5471387f330ddf820f806',NULL,NULL,'{"ms":5}','c9d4fc6458b91802d75040ba9f6c294beb0359e3e54b138aa31f1378a9b551b4',1);
INSERT INTO "assessments" VALUES(3,'as-504250d8a5144e3a85036d81395804e0',1,'feedback','ok','true',NULL,'HUMAN','bo','2026-11-23T06:05:28.147544+00:00',NULL,'2026-11-23T06:05:28.149885+00:00',NULL,'{}','0862b799fa88c08f60a5d1d277835357604ffe36ee5a2e56a6ee96dc095ec902',0);
INSERT INTO "assessments" VALUES(4,'as-da9b4f481c534eba82be5f09324720ec',2,'feedback','ok','true',NULL,'LLM_JUDGE','j/1','2026-11-23T06:05:28.156498+00:00',NULL,NULL,NULL,'{}','da13af77bf7fe13ca91248bcf84017ae578bb11b65272927721272c199be8fea',0);
INSERT INTO "assessments" VALUES(5,'as-fea96cc420d04c0a9151ac12bae43851',2,'feedback','ok','false',NULL,'HUMAN','ana','2026-11-23T06:05:28.163997+00:00','as-da9b4f481c534eba82be5f09324720ec',NULL,NULL,'{}','46e821454993fbdbfbd49b29a64660e4e4d191cac8e964c58b8700f8e35d9243',1);
INSERT INTO "assessments" VALUES(6,'as-b5e7d444b3774eac86b7e0dd64cf77d8',3,'expectation','answer','{"is":1}',NULL,'HUMAN','ana','2026-11-23T06:05:28.172556+00:00',NULL,NULL,NULL,'{}','c84eabe90047145317de87fd7af84e6e4009b51dcfbc06fb8d53bbf835adbb0f',1);
INSERT INTO "assessments" VALUES(7,'as-279309eebfc446d4ab49d719b3193ee1',3,'feedback','ok','true',NULL,'HUMAN','\0 \ud800 ‮ é 👩‍💻 \\ud800 
','2026-11-23T06:05:28.176963+00:00',NULL,NULL,NULL,'{}','c7776f54a9930be25b55ffd4b6791262382ecf4b88dc92f4b2495a53add11efd',1);
CREATE TABLE judge_opt_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT judge_opt_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "judge_opt_version" VALUES('0004');
CREATE TABLE label_queue_items (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	queue_seq INTEGER NOT NULL, 
	trace_seq INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	labelled INTEGER NOT NULL, 
	CONSTRAINT uq_label_queue_items_queue_seq_trace_seq UNIQUE (queue_seq, trace_seq), 
	CONSTRAINT fk_label_queue_items_queue_seq FOREIGN KEY(queue_seq) REFERENCES label_queues (seq) ON DELETE CASCADE, 
	CONSTRAINT fk_label_queue_items_trace_seq FOREIGN KEY(trace_seq) REFERENCES traces (seq) ON DELETE CASCADE
);
CREATE TABLE label_queue_schemas (
	queue_seq INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	schema_id TEXT NOT NULL, 
	CONSTRAINT pk_label_queue_schemas PRIMARY KEY (queue_seq, position), 
	CONSTRAINT fk_label_queue_schemas_queue_seq FOREIGN KEY(queue_seq) REFERENCES label_queues (seq) ON DELETE CASCADE, 
	CONSTRAINT fk_label_queue_schemas_schema_id FOREIGN KEY(schema_id) REFERENCES label_schemas (id)
);
CREATE TABLE label_queue_turns (
	item_seq INTEGER NOT NULL, 
	rater TEXT NOT NULL, 
	state VARCHAR(10) NOT NULL, 
	taken VARCHAR(40) NOT NULL, 
	expires VARCHAR(40) NOT NULL, 
	updated VARCHAR(40) NOT NULL, 
	labels_json TEXT, 
	CONSTRAINT pk_label_queue_turns PRIMARY KEY (item_seq, rater), 
	CONSTRAINT fk_label_queue_turns_item_seq FOREIGN KEY(item_seq) REFERENCES label_queue_items (seq) ON DELETE CASCADE
);
CREATE TABLE label_queues (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	raters_per_item INTEGER NOT NULL, 
	lease_seconds DOUBLE NOT NULL, 
	blind BOOLEAN NOT NULL, 
	order_json TEXT NOT NULL, 
	created VARCHAR(40) NOT NULL, 
	CONSTRAINT uq_label_queues_id UNIQUE (id), 
	CONSTRAINT uq_label_queues_name UNIQUE (name)
);
CREATE TABLE label_schema_judges (
	judge TEXT NOT NULL, 
	schema_seq INTEGER NOT NULL, 
	CONSTRAINT pk_label_schema_judges PRIMARY KEY (judge), 
	CONSTRAINT fk_label_schema_judges_schema_seq FOREIGN KEY(schema_seq) REFERENCES label_schemas (seq) ON DELETE CASCADE
);
CREATE TABLE label_schemas (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	id TEXT NOT NULL, 
	kind VARCHAR(20) NOT NULL, 
	name TEXT NOT NULL, 
	title TEXT NOT NULL, 
	instruction TEXT, 
	enable_comment BOOLEAN NOT NULL, 
	input_json TEXT NOT NULL, 
	rule_json TEXT NOT NULL, 
	created VARCHAR(40) NOT NULL, 
	updated VARCHAR(40) NOT NULL, 
	CONSTRAINT uq_label_schemas_id UNIQUE (id), 
	CONSTRAINT uq_label_schemas_kind_name UNIQUE (kind, name)
);
CREATE TABLE registry_aliases (
	kind TEXT NOT NULL, 
	name TEXT NOT NULL, 
	alias TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	moved VARCHAR(40) NOT NULL, 
	CONSTRAINT pk_registry_aliases PRIMARY KEY (kind, name, alias), 
	CONSTRAINT fk_registry_aliases_kind FOREIGN KEY(kind, name, version) REFERENCES registry_versions (kind, name, version)
);
INSERT INTO "registry_aliases" VALUES('judge','dated','production',1,'2026-11-23T06:05:23.167689+00:00');
INSERT INTO "registry_aliases" VALUES('prompt','system','production',3,'2026-11-23T06:05:28.213524+00:00');
CREATE TABLE registry_blobs (
	version_seq INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	data BLOB NOT NULL, 
	CONSTRAINT pk_registry_blobs PRIMARY KEY (version_seq, name), 
	CONSTRAINT fk_registry_blobs_version_seq FOREIGN KEY(version_seq) REFERENCES registry_versions (seq) ON DELETE CASCADE
);
INSERT INTO "registry_blobs" VALUES(1,'classifier_weights.f32',X'00000000000000000000000000000000000000000000000000000000000000008A63C4C0B6D8F43B18472DBE88522A3E97C691BDC27FB53DD6AA1ABDD6AA1ABD');
INSERT INTO "registry_blobs" VALUES(1,'episodic_vectors.f32',X'A8845BBFFFB503BF000000000000000000000000000000000000000000000000A8845BBFFFB503BF000000000000000000000000000000000000000000000000B8A44FBF102CF9BE0000000000000000000000000000000000000000601DA63EB8A44FBF102CF9BE00000000000000000000000000000000601DA63E00000000B8A44FBF102CF93E000000000000000000000000601DA63E0000000000000000B8A44F3F102CF93E00000000000000000000000000000000601DA63E00000000B8A44FBF102CF9BE00000000601DA63E00000000000000000000000000000000B8A44F3F102CF9BE601DA63E0000000000000000000000000000000000000000B8A44F3F102CF9BE00000000601DA63E00000000000000000000000000000000B8A44FBF102CF93E601DA63E0000000000000000000000000000000000000000B8A44FBF102CF9BE00000000601DA63E00000000000000000000000000000000B8A44FBF102CF93E0000000000000000601DA63E000000000000000000000000A8845B3FFFB503BF000000000000000000000000000000000000000000000000B8A44F3F102CF9BE0000000000000000601DA63E000000000000000000000000B8A44F3F102CF9BE00000000000000000000000000000000601DA63E00000000B8A44F3F102CF9BE0000000000000000601DA63E000000000000000000000000A8845BBFFFB503BF000000000000000000000000000000000000000000000000B8A44FBF102CF9BE00000000601DA63E00000000000000000000000000000000A8845B3FFFB5033F000000000000000000000000000000000000000000000000B8A44F3F102CF9BE601DA63E0000000000000000000000000000000000000000A8845B3FFFB5033F000000000000000000000000000000000000000000000000B8A44F3F102CF9BE00000000601DA63E00000000000000000000000000000000B8A44F3F102CF9BE0000000000000000000000000000000000000000601DA63EB8A44F3F102CF9BE601DA63E0000000000000000000000000000000000000000B8A44FBF102CF9BE00000000601DA63E00000000000000000000000000000000B8A44F3F102CF93E601DA63E0000000000000000000000000000000000000000A8845B3FFFB5033F000000000000000000000000000000000000000000000000A8845BBFFFB503BF000000000000000000000000000000000000000000000000B8A44FBF102CF93E0000000000000000601DA63E000000000000000000000000B8A44F3F102CF93E601DA63E0000000000000000000000000000000000000000A8845B3FFFB503BF000000000000000000000000000000000000000000000000B8A44F3F102CF93E601DA63E0000000000000000000000000000000000000000B8A44FBF102CF93E601DA63E0000000000000000000000000000000000000000A8845B3FFFB503BF000000000000000000000000000000000000000000000000B8A44F3F102CF93E0000000000000000000000000000000000000000601DA63EB8A44F3F102CF93E0000000000000000601DA63E000000000000000000000000B8A44F3F102CF9BE000000000000000000000000601DA63E0000000000000000B8A44F3F102CF9BE0000000000000000601DA63E000000000000000000000000B8A44FBF102CF93E000000000000000000000000601DA63E0000000000000000A8845BBFFFB503BF000000000000000000000000000000000000000000000000');
INSERT INTO "registry_blobs" VALUES(2,'blob',X'00FF');
INSERT INTO "registry_blobs" VALUES(4,'blob',X'00FF');
CREATE TABLE registry_versions (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	kind TEXT NOT NULL, 
	name TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	content_hash VARCHAR(64) NOT NULL, 
	payload_json TEXT, 
	lineage_json TEXT NOT NULL, 
	tags_json TEXT NOT NULL, 
	created VARCHAR(40) NOT NULL, 
	deleted VARCHAR(40), record_hash VARCHAR(64), trusted BOOLEAN, deleted_by TEXT, deleted_reason TEXT, 
	CONSTRAINT uq_registry_versions_kind_name_version UNIQUE (kind, name, version)
);
INSERT INTO "registry_versions" VALUES(1,'judge','dated',1,'2297848cf65f16c45366003f594af4975de87a6c8616a3e04cb74c3041288184','{"base_url":"http://127.0.0.1:45157/v1","demos":[],"description":"","extra":{},"instructions":"Is {{ outputs }} a good reply?","kind":"judge","memory":{"base_url":"http://127.0.0.1:45157/v1","dimension":8,"embedder":"openai:/embed","embedder_name":"openai:/embed@http://127.0.0.1:45157/v1","episodes":[{"gold":"bad","group":"g0-6","id":"r0-012","missed":false,"parts":{"outputs":"About your password number 0-12: we will look into it at some point."},"rationale":"No day is named.","sources":["r0-012/dated/ann"],"votes":{"bad":1}},{"gold":"bad","group":"g0-6","id":"r0-013","missed":false,"parts":{"outputs":"About your password number 0-13: we will look into it at some point."},"rationale":"No day is named.","sources":["r0-013/dated/ann"],"votes":{"bad":1}},{"gold":"bad","group":"g0-7","id":"r0-014","missed":false,"parts":{"outputs":"About your warranty number 0-14: we will look into it at some point."},"rationale":"No day is named.","sources":["r0-014/dated/ann"],"votes":{"bad":1}},{"gold":"bad","group":"g0-7","id":"r0-015","missed":false,"parts":{"outputs":"About your coupon number 0-15: we will look into it at some point."},"rationale":"No day is named.","sources":["r0-015/dated/ann"],"votes":{"bad":1}},{"gold":"bad","group":"g0-8","id":"r0-016","missed":true,"parts":{"outputs":"About your invoice number 0-16: we will look into it at some point, thank you so much for your patience."},"rationale":"No day is named.","sources":["r0-016/dated/ann"],"votes":{"bad":1}},{"gold":"good","group":"g0-8","id":"r0-017","missed":false,"parts":{"outputs":"About your coupon number 0-17: we will fix it on Thursday, thank you so much for your patience."},"rationale":"It names a day.","sources":["r0-017/dated/ann"],"votes":{"good":1}},{"gold":"bad","group":"g0-14","id":"r0-028","missed":false,"parts":{"outputs":"About your parcel number 0-28: we will look into it at some point."},"rationale":"No day is named.","sources":["r0-028/dated/ann"],"votes":{"bad":1}},{"gold":"good","group":"g0-14","id":"r0-029","missed":true,"parts":{"outputs":"About your refund number 0-29: we will fix it on Thursday."},"rationale":"It names a day.","sources":["r0-029/dated/ann"],"votes":{"good":1}},{"gold":"good","group":"g0-15","id":"r0-030","missed":true,"parts":{"outputs":"About your parcel number 0-30: we will fix it on Thursday."},"rationale":"It names a day.","sources":["r0-030/dated/ann"],"votes":{"good":1}},{"gold":"bad","group":"g0-15","id":"r0-031","missed":true,"parts":{"outputs":"About your refund number 0-31: we will look into it at some point, thank you so much for your patience."},"rationale":"No day is named.","sources":["r0-031/dated/ann"],"votes":{"bad":1}},{"gold":"bad","group":"g0-16","id":"r0-032","missed":false,"parts":{"outputs":"About your parcel number 0-32: we will look into it at some point."},"rationale":"No day is named.","sources":["r0-032/dated/ann"],"votes":{"bad":1}},{"gold":"bad","group":"g0-16","id":"r0-033","missed":true,"parts":{"outputs":"About your login number 0-33: we will look into it at some point, thank you so much for your patience."},"rationale":"No day is named.","sources":["r0-033/dated/ann"],"votes":{"bad":1}},{"gold":"good","group":"g0-17","id":"r0-034","missed":true,"parts":{"outputs":"About your address number 0-34: we will fix it on Thursday."},"rationale":"It names a day.","sources":["r0-034/dated/ann"],"votes":{"good":1}},{"gold":"good","group":"g0-17","id":"r0-035","missed":true,"parts":{"outputs":"About your login number 0-35: we will fix it on Thursday."},"rationale":"It names a day.","sources":["r0-035/dated/ann"],"votes":{"good":1}},{"gold":"good","group":"g0-19","id":"r0-038","missed":true,"parts":{"outputs":"About your coupon number 0-38: we will fix it on Thursday."},"rationale":"It names a day.","sources":["r0-038/dated/ann"],"votes":{"good":1}},{"gold":"good","group":"g0-19","id":"r0-039","missed":true,"parts":{"outputs":"About your login number 0-39: we will fix it on Thursday."},"rationale":"It names a day.","sources":["r0-039/dated/ann"],"votes":{"good":1}},{"gold":"bad","group":"g0-25","id":"r0-050","missed":false,"parts":{"outputs":"About your address number 0-50: we will look into it at some point."},"rationale":"No day is named.","sources":["r0-050/dated/ann"],"votes":{"bad":1}},{"gold":"bad","group":"g0-25","id":"r0-051","missed":false,"parts":{"outputs":"About your parcel number 0-51: we will look into it at some point."},"rationale":"No day is named.","sources":["r0-051/dated/ann"],"votes":{"bad":1}},{"gold":"good","group":"g0-26","id":"r0-052","missed":false,"parts":{"outputs":"About your address number 0-52: we will fix it on Thursday, thank you so much for your patience."},"rationale":"It names a day.","sources":["r0-052/dated/ann"],"votes":{"good":1}},{"gold":"good","group":"g0-26","id":"r0-053","missed":true,"parts":{"outputs":"About your refund number 0-53: we will fix it on Thursday."},"rationale":"It names a day.","sources":["r0-053/dated/ann"],"votes":{"good":1}},{"gold":"good","group":"g0-28","id":"r0-056","missed":false,"parts":{"outputs":"About your address number 0-56: we will fix it on Thursday, thank you so much for your patience."},"rationale":"It names a day.","sources":["r0-056/dated/ann"],"votes":{"good":1}},{"gold":"good","group":"g0-28","id":"r0-057","missed":true,"parts":{"outputs":"About your parcel number 0-57: we will fix it on Thursday."},"rationale":"It names a day.","sources":["r0-057/dated/ann"],"votes":{"good":1}},{"gold":"good","group":"g0-29","id":"r0-058","missed":true,"parts":{"outputs":"About your warranty number 0-58: we will fix it on Thursday."},"rationale":"It names a day.","sources":["r0-058/dated/ann"],"votes":{"good":1}},{"gold":"good","group":"g0-29","id":"r0-059","missed":true,"parts":{"outputs":"About your refund number 0-59: we will fix it on Thursday."},"rationale":"It names a day.","sources":["r0-059/dated/ann"],"votes":{"good":1}},{"gold":"bad","group":"g1-2","id":"r1-004","missed":false,"parts":{"outputs":"About your parcel number 1-4: we will look into it at some point."},"rationale":"No day is named.","sources":["r1-004/dated/ann"],"votes":{"bad":1}},{"gold":"good","group":"g1-2","id":"r1-005","missed":false,"parts":{"outputs":"About your refund number 1-5: we will fix it on Thursday, thank you so much for your patience."},"rationale":"It names a day.","sources":["r1-005/dated/ann"],"votes":{"good":1}},{"gold":"good","group":"g1-3","id":"r1-006","missed":false,"parts":{"outputs":"About your address number 1-6: we will fix it on Thursday, thank you so much for your patience."},"rationale":"It names a day.","sources":["r1-006/dated/ann"],"votes":{"good":1}},{"gold":"bad","group":"g1-3","id":"r1-007","missed":false,"parts":{"outputs":"About your password number 1-7: we will look into it at some point."},"rationale":"No day is named.","sources":["r1-007/dated/ann"],"votes":{"bad":1}},{"gold":"bad","group":"g1-8","id":"r1-016","missed":true,"parts":{"outputs":"About your login number 1-16: we will look into it at some point, thank you so much for your patience."},"rationale":"No day is named.","sources":["r1-016/dated/ann"],"votes":{"bad":1}},{"gold":"good","group":"g1-8","id":"r1-017","missed":false,"parts":{"outputs":"About your refund number 1-17: we will fix it on Thursday, thank you so much for your patience."},"rationale":"It names a day.","sources":["r1-017/dated/ann"],"votes":{"good":1}},{"gold":"good","group":"g1-9","id":"r1-018","missed":true,"parts":{"outputs":"About your address number 1-18: we will fix it on Thursday."},"rationale":"It names a day.","sources":["r1-018/dated/ann"],"votes":{"good":1}},{"gold":"good","group":"g1-9","id":"r1-019","missed":false,"parts":{"outputs":"About your refund number 1-19: we will fix it on Thursday, thank you so much for your patience."},"rationale":"It names a day.","sources":["r1-019/dated/ann"],"votes":{"good":1}},{"gold":"bad","group":"g1-12","id":"r1-024","missed":true,"parts":{"outputs":"About your refund number 1-24: we will look into it at some point, thank you so much for your patience."},"rationale":"No day is named.","sources":["r1-024/dated/ann"],"votes":{"bad":1}},{"gold":"good","group":"g1-12","id":"r1-025","missed":true,"parts":{"outputs":"About your address number 1-25: we will fix it on Thursday."},"rationale":"It names a day.","sources":["r1-025/dated/ann"],"votes":{"good":1}},{"gold":"good","group":"g1-13","id":"r1-026","missed":false,"parts":{"outputs":"About your warranty number 1-26: we will fix it on Thursday, thank you so much for your patience."},"rationale":"It names a day.","sources":["r1-026/dated/ann"],"votes":{"good":1}},{"gold":"good","group":"g1-13","id":"r1-027","missed":false,"parts":{"outputs":"About your login number 1-27: we will fix it on Thursday, thank you so much for your patience."},"rationale":"It names a day.","sources":["r1-027/dated/ann"],"votes":{"good":1}},{"gold":"good","group":"g1-18","id":"r1-036","missed":true,"parts":{"outputs":"About your invoice number 1-36: we will fix it on Thursday."},"rationale":"It names a day.","sources":["r1-036/dated/ann"],"votes":{"good":1}},{"gold":"good","group":"g1-18","id":"r1-037","missed":true,"parts":{"outputs":"About your login number 1-37: we will fix it on Thursday."},"rationale":"It names a day.","sources":["r1-037/dated/ann"],"votes":{"good":1}},{"gold":"bad","group":"g1-19","id":"r1-038","missed":true,"parts":{"outputs":"About your invoice number 1-38: we will look into it at some point, thank you so much for your patience."},"rationale":"No day is named.","sources":["r1-038/dated/ann"],"votes":{"bad":1}},{"gold":"bad","group":"g1-19","id":"r1-039","missed":false,"parts":{"outputs":"About your password number 1-39: we will look into it at some point."},"rationale":"No day is named.","sources":["r1-039/dated/ann"],"votes":{"bad":1}}],"fusion":{"bias":[-0.002732,0.002732],"weights":{"classifier":0.637293,"judge":0.290484,"neighbours":0.625631}},"guidelines":[{"contradict":0,"sources":["r0-016","r0-029","r0-012","r0-053","r1-016","r0-013","r1-018","r1-024","r0-014","r1-025","r1-036","r0-015","r1-037","r1-038","r0-017","r0-028","r0-050","r0-051","r0-052","r1-004","r1-005","r1-017","r1-019","r1-026","r1-027","r1-039"],"state":"retired","support":10,"text":"A reply that names a day is good, one without a day is bad.","uplift":0.7143,"why":"better without"}],"head":{"bias":[0.0,-0.1476767510175705]},"shots":0,"token_budget":3000,"vote":{"base":[0.573170731707317,0.4268292682926829],"k":15,"prior":0.3,"sharpness":5.0},"weights":{"outputs":1.0}},"model":"openai:/sim","name":"dated","options":{"repair":true,"samples":1,"swap":null,"view_tokens":4000},"params":{},"rationale":true,"schema":2,"template":"Is {{ outputs }} a good reply?","template_hash":"3a408af601011a74f885e5056c7c3a85af6734749b29e5e36bd2a9811f2461d2","value_type":{"kind":"nominal","labels":["good","bad"]}}','{"code":{"dspy":"3.4.1","judge_opt":"0.1.0","python":"3.11.7"},"data_hash":"21f7238d52ab646e33ab5a78d87a3470dcef16a153ae96e2bfa3b7a38b1aa5b9","optimizer":"memalign","run_id":"golden-9adf7809","seed":0,"settings":{"batch_chars":12000,"batch_rows":50,"concurrency":8,"embedder":"openai:/embed","first_rows":10,"fusion":true,"guidelines":6,"race_rows":24,"reflection_lm":null,"seed":0,"shots":3,"token_budget":3000,"trial_rows":40,"weights":null},"split_hash":"ecb05ec1728d62a043dce70d8bfded33e6fb88ee0774c34fec98847d21083313","validation":{"after":{"classes":[{"f1":1.0,"label":"good","precision":1.0,"recall":1.0,"support":29},{"f1":1.0,"label":"bad","precision":1.0,"recall":1.0,"support":21}],"confusion":{"counts":[[29,0],[0,21]],"labels":["good","bad"]},"coverage":1.0,"metrics":{"agreement":{"confidence":0.95,"degenerate":0,"high":1.0,"low":0.8668077490609516,"method":"wilson_groups","n":50,"n_groups":25,"reason":null,"resamples":0,"value":1.0},"balanced_accuracy":{"confidence":0.95,"degenerate":0,"high":1.0,"low":0.8668077490609516,"method":"wilson_groups","n":50,"n_groups":25,"reason":null,"resamples":0,"value":1.0},"kappa":{"confidence":0.95,"degenerate":0,"high":1.0,"low":0.7266168905191945,"method":"wilson_groups","n":50,"n_groups":25,"reason":null,"resamples":0,"value":1.0},"mcc":{"confidence":0.95,"degenerate":0,"high":1.0,"low":0.7266168905191945,"method":"wilson_groups","n":50,"n_groups":25,"reason":null,"resamples":0,"value":1.0}},"n_groups":25,"n_rows":50,"n_scored":50,"unscored":{}},"baselines":[{"agreement":{"confidence":0.95,"degenerate":0,"high":0.74,"low":0.42,"method":"bca","n":50,"n_groups":25,"reason":null,"resamples":2000,"value":0.58},"name":"constant","primary":{"confidence":0.95,"degenerate":0,"high":null,"low":null,"method":null,"n":50,"n_groups":25,"reason":"Every resample gave one value, so the spread cannot be seen.","resamples":2000,"value":0.0}},{"agreement":{"confidence":0.95,"degenerate":0,"high":1.0,"low":0.8668077490609516,"method":"wilson_groups","n":50,"n_groups":25,"reason":null,"resamples":0,"value":1.0},"name":"text_classifier","primary":{"confidence":0.95,"degenerate":0,"high":1.0,"low":0.7266168905191945,"method":"wilson_groups","n":50,"n_groups":25,"reason":null,"resamples":0,"value":1.0}},{"agreement":{"confidence":0.95,"degenerate":0,"high":1.0,"low":0.8668077490609516,"method":"wilson_groups","n":50,"n_groups":25,"reason":null,"resamples":0,"value":1.0},"name":"nearest_neighbour","primary":{"confidence":0.95,"degenerate":0,"high":1.0,"low":0.7266168905191945,"method":"wilson_groups","n":50,"n_groups":25,"reason":null,"resamples":0,"value":1.0}},{"agreement":{"confidence":0.95,"degenerate":0,"high":1.0,"low":0.8668077490609516,"method":"wilson_groups","n":50,"n_groups":25,"reason":null,"resamples":0,"value":1.0},"name":"five_neighbours","primary":{"confidence":0.95,"degenerate":0,"high":1.0,"low":0.7266168905191945,"method":"wilson_groups","n":50,"n_groups":25,"reason":null,"resamples":0,"value":1.0}},{"agreement":{"confidence":0.95,"degenerate":0,"high":0.64,"low":0.3254462550541109,"method":"bca","n":50,"n_groups":25,"reason":null,"resamples":2000,"value":0.48},"name":"output_length","primary":{"confidence":0.95,"degenerate":0,"high":0.20435510887772193,"low":-0.36,"method":"bca","n":50,"n_groups":25,"reason":null,"resamples":2000,"value":-0.08153078202995008}}],"before":{"classes":[{"f1":0.5,"label":"good","precision":0.631578947368421,"recall":0.41379310344827586,"support":29},{"f1":0.5384615384615384,"label":"bad","precision":0.45161290322580644,"recall":0.6666666666666666,"support":21}],"confusion":{"counts":[[12,17],[7,14]],"labels":["good","bad"]},"coverage":1.0,"metrics":{"agreement":{"confidence":0.95,"degenerate":0,"high":0.674553744945888,"low":0.36,"method":"bca","n":50,"n_groups":25,"reason":null,"resamples":2000,"value":0.52},"balanced_accuracy":{"confidence":0.95,"degenerate":0,"high":0.68,"low":0.3897591346680874,"method":"bca","n":50,"n_groups":25,"reason":null,"resamples":2000,"value":0.5402298850574713},"kappa":{"confidence":0.95,"degenerate":0,"high":0.3482431333774711,"low":-0.19412141849941564,"method":"bca","n":50,"n_groups":25,"reason":null,"resamples":2000,"value":0.07550077041602465},"mcc":{"confidence":0.95,"degenerate":0,"high":0.37579115455804496,"low":-0.2251721058034216,"method":"bca","n":50,"n_groups":25,"reason":null,"resamples":2000,"value":0.08181440688685698}},"n_groups":25,"n_rows":50,"n_scored":50,"unscored":{}},"calibration_after":{"bins":[{"agreement":1.0,"confidence":0.9909782326537054,"high":1.0,"low":0.8318207759473838,"n":19},{"agreement":1.0,"confidence":0.9949383488486738,"high":1.0,"low":0.8063923194655637,"n":16},{"agreement":1.0,"confidence":0.9963033959328825,"high":1.0,"low":0.7961166989641515,"n":15}],"brier":9.080162994284165e-05,"ece":0.0061569811801515505,"log_loss":0.0061798137218074135,"n":50,"reason":null},"calibration_before":{"bins":[],"brier":null,"ece":null,"log_loss":null,"n":0,"reason":"The judge''s endpoint gave no label probabilities."},"ceiling":{"agreement":{"confidence":0.95,"degenerate":0,"high":null,"low":null,"method":null,"n":0,"n_groups":0,"reason":"No row has two raters, so people cannot be held against people.","resamples":0,"value":null},"metric":"kappa","n_comparisons":0,"n_raters":0,"n_tied":0,"pooled":false,"primary":{"confidence":0.95,"degenerate":0,"high":null,"low":null,"method":null,"n":0,"n_groups":0,"reason":"No row has two raters, so people cannot be held against people.","resamples":0,"value":null},"raters":[]},"comparison":{"after":{"confidence":0.95,"degenerate":0,"high":1.0,"low":0.7266168905191945,"method":"wilson_groups","n":50,"n_groups":25,"reason":null,"resamples":0,"value":1.0},"agreement_after":{"confidence":0.95,"degenerate":0,"high":1.0,"low":0.8668077490609516,"method":"wilson_groups","n":50,"n_groups":25,"reason":null,"resamples":0,"value":1.0},"agreement_before":{"confidence":0.95,"degenerate":0,"high":0.674553744945888,"low":0.36,"method":"bca","n":50,"n_groups":25,"reason":null,"resamples":2000,"value":0.52},"agreement_difference":{"confidence":0.95,"degenerate":0,"high":0.64,"low":0.32544625505410973,"method":"bca","n":50,"n_groups":25,"reason":null,"resamples":2000,"value":0.48},"before":{"confidence":0.95,"degenerate":0,"high":0.3482431333774711,"low":-0.19412141849941564,"method":"bca","n":50,"n_groups":25,"reason":null,"resamples":2000,"value":0.07550077041602465},"difference":{"confidence":0.95,"degenerate":0,"high":1.1941214184994156,"low":0.6517568666225287,"method":"bca","n":50,"n_groups":25,"reason":null,"resamples":2000,"value":0.9244992295839753},"gained":24,"lost":0,"mcnemar_p":1.1920928955078125e-07,"method":"random group swaps","metric":"kappa","n_groups":25,"n_pairs":50,"neither":0,"only_after":0,"only_before":0,"p_value":0.0002,"reason":null,"swaps":9999},"decision":{"checks":[{"goal":0.95,"holds":true,"name":"coverage","op":">=","text":"The new judge scored 100.0 % of the rows; at least 95 % are needed.","value":1.0},{"goal":30.0,"holds":true,"name":"rows","op":">=","text":"Both judges scored 50 rows; 30 are needed.","value":50.0},{"goal":0.05,"holds":true,"name":"better_than_before","op":"<=","text":"Cohen''s kappa changed by +0.92 on 50 shared rows; the paired test shows that the new judge is better (one-sided p < 0.001, level 0.05).","value":0.0002},{"goal":0.0,"holds":true,"name":"better_than_constant","op":">","text":"Cohen''s kappa of the new judge is at least 0.73 (95 % interval), above the 0.00 of always giving one label.","value":0.7266168905191945}],"promoted":true,"reasons":["The new judge scored 100.0 % of the rows; at least 95 % are needed.","Both judges scored 50 rows; 30 are needed.","Cohen''s kappa changed by +0.92 on 50 shared rows; the paired test shows that the new judge is better (one-sided p < 0.001, level 0.05).","Cohen''s kappa of the new judge is at least 0.73 (95 % interval), above the 0.00 of always giving one label."]},"headline":"On 50 held-out rows, the aligned judge agreed with the human labels on 100 % (95 % interval 87 to 100), the untouched judge on 52 % (36 to 67); Cohen''s kappa 1.00 (0.73 to 1.00) against 0.08 (-0.19 to 0.35) (one-sided p < 0.001); promoted.","metric":"kappa","n_boot":2000,"n_contested":0,"n_groups":25,"n_rows":50,"notes":[],"noun":"rows","policy":{"alpha":0.05,"metric":null,"min_coverage":0.95,"min_rows":30},"rows_digest":"19de2e44044eed4b3d8d6288de086be3182849c4ae1cf10b8c0fd5adbcf63deb","schema_version":1,"seed":0,"value_type":"one of: good, bad"}}','{}','2026-11-23T06:05:23.152184+00:00',NULL,'a72ddccc83e1d08da2f4c602b077284f06c65a7d4163394158fe790bade501c1',1,NULL,NULL);
INSERT INTO "registry_versions" VALUES(2,'prompt','system',1,'d71957b41670bd3ffed6a5fef0aec50d825e54dd82a308fca310796428d632a0','{"template":"Rule 1 \u0000 \ud800 \u202e e\u0301 \ud83d\udc69\u200d\ud83d\udcbb \\ud800 \r\n"}','{"n":1}','{}','2026-11-23T06:05:28.180972+00:00',NULL,'a1bc918a7a15cff1f4b36d8317a22afa5edd1cb79ff34716e35ff20a8da4a301',1,NULL,NULL);
INSERT INTO "registry_versions" VALUES(3,'prompt','system',2,'3a97953bce3fa4779e2c0cc555b745a3175e7279852b781f713593d1afcd64a1',NULL,'{"n":2}','{}','2026-11-23T06:05:28.193783+00:00','2026-11-23T06:05:28.219477+00:00','7242e871e51040398497585d414178c8f255d1ba0d2d7ce4d6dac87b55935b83',1,NULL,NULL);
INSERT INTO "registry_versions" VALUES(4,'prompt','system',3,'fdb4f8a35795b91eb0a57ab5c6ddeab608fafdbecd5656256ff132bc187380ec','{"template":"Rule 3 \u0000 \ud800 \u202e e\u0301 \ud83d\udc69\u200d\ud83d\udcbb \\ud800 \r\n"}','{"n":3}','{}','2026-11-23T06:05:28.204970+00:00',NULL,'2e64579905fe44d1beb1939e1c8eaeae2881d2459aacc6645fd24b8c32b9ceb4',1,NULL,NULL);
CREATE TABLE test_reads (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	rows_hash VARCHAR(64) NOT NULL, 
	row_count INTEGER NOT NULL, 
	split_hash VARCHAR(64), 
	reason TEXT NOT NULL, 
	run_id TEXT, 
	created VARCHAR(40) NOT NULL
);
CREATE TABLE trace_tags (
	trace_seq INTEGER NOT NULL, 
	"key" TEXT NOT NULL, 
	value TEXT NOT NULL, 
	CONSTRAINT pk_trace_tags PRIMARY KEY (trace_seq, "key"), 
	CONSTRAINT fk_trace_tags_trace_seq FOREIGN KEY(trace_seq) REFERENCES traces (seq) ON DELETE CASCADE
);
INSERT INTO "trace_tags" VALUES(1,'env','x');
INSERT INTO "trace_tags" VALUES(1,'\0 \ud800 ‮ é 👩‍💻 \\ud800 
','\0 \ud800 ‮ é 👩‍💻 \\ud800 
');
CREATE TABLE traces (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	id TEXT NOT NULL, 
	session TEXT, 
	inputs_json TEXT NOT NULL, 
	outputs_json TEXT NOT NULL, 
	expectations_json TEXT NOT NULL, 
	metadata_json TEXT NOT NULL, 
	spans_json TEXT NOT NULL, 
	content_hash VARCHAR(64) NOT NULL, 
	created VARCHAR(40) NOT NULL, name TEXT, status VARCHAR(10), execution_time_ms DOUBLE, 
	CONSTRAINT uq_traces_id UNIQUE (id)
);
INSERT INTO "traces" VALUES(1,'a','\0 \ud800 ‮ é 👩‍💻 \\ud800 
','{"q":"\u0000 \ud800 \u202e e\u0301 \ud83d\udc69\u200d\ud83d\udcbb \\ud800 \r\n"}','[1,2.5,null]','{"answer":"yes"}','{"m":1}','[{"end_ns":2000001,"kind":"INTERNAL","name":"answer","parent_id":null,"span_id":"00000000000000a1","start_ns":1,"status":{"code":"OK","message":""}}]','12f309ff1ec18a9591c3e4b6f3d6a42e1853f7ae5cb5fc70ee970d8c97295ed5','2026-11-23T06:05:28.099364+00:00','answer','OK',2.0);
INSERT INTO "traces" VALUES(2,'t0','s0','{"n":0}','null','{}','{}','[]','9063faebabc0a74b33132d946bca295cb6e19fd1bcadb47b99766d59a3cfbc43','2026-11-23T06:05:28.124635+00:00',NULL,NULL,NULL);
INSERT INTO "traces" VALUES(3,'t1','s0','{"n":1}','null','{}','{}','[]','dda65faa86869ee89a9ca559ccfd92ac03244c83de520fdc8977f6ada1366d43','2026-11-23T06:05:28.124761+00:00',NULL,NULL,NULL);
INSERT INTO "traces" VALUES(4,'t2','s1','{"n":2}','null','{}','{}','[]','8a7562aca2a564432d8a7a25073667c8e1cca40e4b6a9971a7d14bbc84cd5049','2026-11-23T06:05:28.124795+00:00',NULL,NULL,NULL);
INSERT INTO "traces" VALUES(5,'t3','s1','{"n":3}','null','{}','{}','[]','dfbee9a671bca26e4414d3d72bb36cefcb0cc29b37c377aff2494c7fe3968e9d','2026-11-23T06:05:28.124821+00:00',NULL,NULL,NULL);
CREATE INDEX ix_traces_session ON traces (session);
CREATE INDEX ix_trace_tags_key ON trace_tags ("key");
CREATE INDEX ix_assessments_name ON assessments (name);
CREATE UNIQUE INDEX uq_assessments_current ON assessments (trace_seq, kind, name, source_type, source_id) WHERE is_current = 1;
CREATE INDEX ix_traces_created ON traces (created);
CREATE INDEX ix_test_reads_rows_hash ON test_reads (rows_hash);
CREATE INDEX ix_label_schema_judges_schema_seq ON label_schema_judges (schema_seq);
CREATE INDEX ix_label_queue_items_queue_seq_position ON label_queue_items (queue_seq, position);
CREATE INDEX ix_label_queue_items_trace_seq ON label_queue_items (trace_seq);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('registry_versions',4);
INSERT INTO "sqlite_sequence" VALUES('traces',5);
INSERT INTO "sqlite_sequence" VALUES('assessments',7);
COMMIT;
PRAGMA user_version=0;
