CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE search (
	pk INTEGER NOT NULL, 
	run_identity TEXT NOT NULL, 
	token TEXT NOT NULL, 
	max_epochs INTEGER NOT NULL, 
	eta TEXT NOT NULL, 
	seed INTEGER NOT NULL, 
	passes INTEGER NOT NULL, 
	failure_loss FLOAT NOT NULL, 
	script TEXT NOT NULL, 
	script_sha256 TEXT NOT NULL, 
	script_args TEXT NOT NULL, 
	python TEXT NOT NULL, 
	cwd TEXT NOT NULL, 
	workers INTEGER, 
	gpus TEXT NOT NULL, 
	status TEXT NOT NULL, 
	stop_reason TEXT, 
	fence INTEGER NOT NULL, 
	created_at TEXT NOT NULL, 
	finished_at TEXT, 
	evaluations_planned INTEGER NOT NULL, 
	evaluations_done INTEGER NOT NULL, 
	evaluations_failed INTEGER NOT NULL, 
	epochs_planned INTEGER NOT NULL, 
	epochs_done INTEGER NOT NULL, 
	best_loss FLOAT, 
	best_config_id TEXT, 
	best_epochs INTEGER, configs TEXT DEFAULT '[]' NOT NULL, per_gpu INTEGER DEFAULT '1' NOT NULL, isolate_gpus INTEGER DEFAULT '0' NOT NULL, multi_gpu TEXT DEFAULT 'auto' NOT NULL, timeout FLOAT, retries INTEGER DEFAULT '0' NOT NULL, retry_timeouts INTEGER DEFAULT '0' NOT NULL, max_failures TEXT, max_time FLOAT, target_loss FLOAT, judged INTEGER DEFAULT '0' NOT NULL, ranked INTEGER DEFAULT '0' NOT NULL, 
	CONSTRAINT pk_search PRIMARY KEY (pk), 
	CONSTRAINT ck_search_status CHECK (status IN ('unfinished', 'stopped', 'finished')), 
	CONSTRAINT uq_search_run_identity UNIQUE (run_identity)
);
CREATE TABLE bracket (
	pk INTEGER NOT NULL, 
	search_pk INTEGER NOT NULL, 
	pass INTEGER NOT NULL, 
	first_epochs INTEGER NOT NULL, 
	configs INTEGER NOT NULL, 
	rungs INTEGER NOT NULL, 
	status TEXT NOT NULL, 
	evaluations_planned INTEGER NOT NULL, 
	evaluations_done INTEGER NOT NULL, 
	best_loss FLOAT, 
	CONSTRAINT pk_bracket PRIMARY KEY (pk), 
	CONSTRAINT ck_bracket_status CHECK (status IN ('waiting', 'running', 'done')), 
	CONSTRAINT fk_bracket_search_pk_search FOREIGN KEY(search_pk) REFERENCES search (pk), 
	CONSTRAINT uq_bracket_search_pk_pass_first_epochs UNIQUE (search_pk, pass, first_epochs)
);
CREATE TABLE config (
	pk INTEGER NOT NULL, 
	search_pk INTEGER NOT NULL, 
	config_id TEXT NOT NULL, 
	best_loss FLOAT, 
	best_epochs INTEGER, 
	best_position INTEGER, 
	epochs_reached INTEGER, 
	seconds FLOAT NOT NULL, rank INTEGER, 
	CONSTRAINT pk_config PRIMARY KEY (pk), 
	CONSTRAINT fk_config_search_pk_search FOREIGN KEY(search_pk) REFERENCES search (pk), 
	CONSTRAINT uq_config_search_pk_config_id UNIQUE (search_pk, config_id)
);
CREATE TABLE driver (
	pk INTEGER NOT NULL, 
	search_pk INTEGER NOT NULL, 
	fence INTEGER NOT NULL, 
	host TEXT NOT NULL, 
	pid INTEGER NOT NULL, 
	python TEXT NOT NULL, 
	script TEXT NOT NULL, 
	script_args TEXT NOT NULL, 
	script_sha256 TEXT NOT NULL, 
	command_head TEXT NOT NULL, 
	command_tail TEXT NOT NULL, 
	started_at TEXT NOT NULL, 
	ended_at TEXT, seen_at TEXT, workers INTEGER, isolated INTEGER DEFAULT '0' NOT NULL, 
	CONSTRAINT pk_driver PRIMARY KEY (pk), 
	CONSTRAINT fk_driver_search_pk_search FOREIGN KEY(search_pk) REFERENCES search (pk), 
	CONSTRAINT uq_driver_search_pk_fence UNIQUE (search_pk, fence)
);
CREATE TABLE evaluation (
	pk INTEGER NOT NULL, 
	config_pk INTEGER NOT NULL, 
	epochs INTEGER NOT NULL, 
	place_pk INTEGER, 
	attempt_pk INTEGER, 
	attempts INTEGER NOT NULL, 
	CONSTRAINT pk_evaluation PRIMARY KEY (pk), 
	CONSTRAINT fk_evaluation_attempt_pk_attempt FOREIGN KEY(attempt_pk) REFERENCES attempt (pk), 
	CONSTRAINT fk_evaluation_config_pk_config FOREIGN KEY(config_pk) REFERENCES config (pk), 
	CONSTRAINT fk_evaluation_place_pk_place FOREIGN KEY(place_pk) REFERENCES place (pk), 
	CONSTRAINT uq_evaluation_config_pk_epochs UNIQUE (config_pk, epochs)
);
CREATE TABLE param (
	config_pk INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	value BLOB, 
	CONSTRAINT pk_param PRIMARY KEY (config_pk, name), 
	CONSTRAINT fk_param_config_pk_config FOREIGN KEY(config_pk) REFERENCES config (pk)
)
 WITHOUT ROWID

;
CREATE TABLE rung (
	pk INTEGER NOT NULL, 
	bracket_pk INTEGER NOT NULL, 
	rung INTEGER NOT NULL, 
	epochs INTEGER NOT NULL, 
	configs_planned INTEGER NOT NULL, 
	configs_entered INTEGER NOT NULL, 
	done INTEGER NOT NULL, 
	failed INTEGER NOT NULL, 
	promoted INTEGER, 
	best_loss FLOAT, 
	cutoff_loss FLOAT, 
	CONSTRAINT pk_rung PRIMARY KEY (pk), 
	CONSTRAINT fk_rung_bracket_pk_bracket FOREIGN KEY(bracket_pk) REFERENCES bracket (pk), 
	CONSTRAINT uq_rung_bracket_pk_rung UNIQUE (bracket_pk, rung)
);
CREATE TABLE attempt (
	pk INTEGER NOT NULL, 
	evaluation_pk INTEGER NOT NULL, 
	attempt INTEGER NOT NULL, 
	driver_pk INTEGER NOT NULL, 
	worker INTEGER NOT NULL, 
	gpu TEXT NOT NULL, 
	status TEXT NOT NULL, 
	watched INTEGER NOT NULL, 
	pid INTEGER, 
	exit_code INTEGER, 
	signal TEXT, 
	loss FLOAT, 
	error_type TEXT, 
	error_message TEXT, 
	error TEXT, 
	started_at TEXT NOT NULL, 
	finished_at TEXT, 
	seconds FLOAT, fingerprint TEXT, retried TEXT, 
	CONSTRAINT pk_attempt PRIMARY KEY (pk), 
	CONSTRAINT ck_attempt_done_has_loss CHECK ((status = 'done') IS (loss IS NOT NULL)), 
	CONSTRAINT ck_attempt_status CHECK (status IN ('running', 'stopping', 'done', 'failed', 'timeout', 'interrupted', 'lost')), 
	CONSTRAINT fk_attempt_driver_pk_driver FOREIGN KEY(driver_pk) REFERENCES driver (pk), 
	CONSTRAINT fk_attempt_evaluation_pk_evaluation FOREIGN KEY(evaluation_pk) REFERENCES evaluation (pk), 
	CONSTRAINT uq_attempt_evaluation_pk_attempt UNIQUE (evaluation_pk, attempt)
);
CREATE INDEX ix_attempt_failed ON attempt (driver_pk) WHERE status IN ('failed', 'timeout');
CREATE UNIQUE INDEX uq_attempt_done ON attempt (evaluation_pk) WHERE status = 'done';
CREATE UNIQUE INDEX uq_attempt_open ON attempt (evaluation_pk) WHERE finished_at IS NULL;
CREATE TABLE incumbent (
	pk INTEGER NOT NULL, 
	search_pk INTEGER NOT NULL, 
	evaluation_pk INTEGER NOT NULL, 
	finished_at TEXT NOT NULL, 
	epochs_spent INTEGER NOT NULL, 
	loss FLOAT NOT NULL, 
	CONSTRAINT pk_incumbent PRIMARY KEY (pk), 
	CONSTRAINT fk_incumbent_evaluation_pk_evaluation FOREIGN KEY(evaluation_pk) REFERENCES evaluation (pk), 
	CONSTRAINT fk_incumbent_search_pk_search FOREIGN KEY(search_pk) REFERENCES search (pk)
);
CREATE INDEX ix_incumbent_search_pk ON incumbent (search_pk);
CREATE TABLE place (
	pk INTEGER NOT NULL, 
	rung_pk INTEGER NOT NULL, 
	slot INTEGER NOT NULL, 
	config_pk INTEGER NOT NULL, 
	evaluation_pk INTEGER, 
	promoted INTEGER, 
	position INTEGER NOT NULL, 
	CONSTRAINT pk_place PRIMARY KEY (pk), 
	CONSTRAINT ck_place_promoted CHECK (promoted IS NULL OR promoted IN (0, 1)), 
	CONSTRAINT fk_place_config_pk_config FOREIGN KEY(config_pk) REFERENCES config (pk), 
	CONSTRAINT fk_place_evaluation_pk_evaluation FOREIGN KEY(evaluation_pk) REFERENCES evaluation (pk), 
	CONSTRAINT fk_place_rung_pk_rung FOREIGN KEY(rung_pk) REFERENCES rung (pk), 
	CONSTRAINT uq_place_rung_pk_slot UNIQUE (rung_pk, slot)
);
CREATE INDEX ix_place_evaluation_pk ON place (evaluation_pk);
CREATE TABLE output (
	attempt_pk INTEGER NOT NULL, 
	stdout TEXT NOT NULL, 
	stderr TEXT NOT NULL, 
	log TEXT, 
	CONSTRAINT pk_output PRIMARY KEY (attempt_pk), 
	CONSTRAINT fk_output_attempt_pk_attempt FOREIGN KEY(attempt_pk) REFERENCES attempt (pk)
);
CREATE INDEX ix_config_rank ON config (search_pk, rank) WHERE rank IS NOT NULL;
CREATE INDEX ix_config_leaderboard ON config (search_pk, best_loss, best_position, config_id) WHERE best_loss IS NOT NULL;
CREATE INDEX ix_place_config_pk ON place (config_pk);
