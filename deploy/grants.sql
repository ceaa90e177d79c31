-- Rights of Handover's worker for the catalog keap, and nothing more. Written by `handover catalog grants`.
-- Run it as the owner of the tables, after `handover migrate` and after every change of the catalog, in one
-- transaction: handover catalog grants | psql --single-transaction --set ON_ERROR_STOP=1. The role must
-- exist: CREATE ROLE handover_worker LOGIN PASSWORD '…'. Other grants on these tables are revoked from it.
-- To let movers wait for standbys that fall behind, a superuser adds: GRANT pg_read_all_stats TO handover_worker;
REVOKE ALL ON ALL TABLES IN SCHEMA "handover", "public" FROM "handover_worker";
REVOKE ALL ON ALL SEQUENCES IN SCHEMA "handover", "public" FROM "handover_worker";
GRANT USAGE ON SCHEMA "handover", "public" TO "handover_worker";
GRANT SELECT, INSERT ON "handover"."audit" TO "handover_worker";
GRANT SELECT, INSERT ON "handover"."catalog_versions" TO "handover_worker";
GRANT SELECT, INSERT ON "handover"."catalogs" TO "handover_worker";
GRANT SELECT, INSERT, UPDATE, DELETE ON "handover"."chunks" TO "handover_worker";
GRANT SELECT ON "handover"."handover_migrations" TO "handover_worker";
GRANT SELECT, INSERT, UPDATE, DELETE ON "handover"."job_references" TO "handover_worker";
GRANT SELECT, INSERT ON "handover"."job_successors" TO "handover_worker";
GRANT SELECT, INSERT, UPDATE ON "handover"."jobs" TO "handover_worker";
GRANT SELECT, INSERT ON "handover"."journal" TO "handover_worker";
GRANT SELECT, INSERT, UPDATE, DELETE ON "handover"."outbox" TO "handover_worker";
GRANT SELECT, INSERT, UPDATE ON "handover"."requests" TO "handover_worker";
GRANT SELECT, INSERT, UPDATE ON "handover"."round_robin" TO "handover_worker";
GRANT SELECT, INSERT, UPDATE, DELETE ON "handover"."row_snapshots" TO "handover_worker";
GRANT SELECT, INSERT, UPDATE ON "handover"."services" TO "handover_worker";
GRANT SELECT, INSERT, UPDATE, DELETE ON "handover"."tokens" TO "handover_worker";
GRANT SELECT, INSERT, DELETE ON "public"."account_team_members" TO "handover_worker";
GRANT SELECT ("created_by", "id", "owner_id"), UPDATE ("owner_id", "updated_at") ON "public"."accounts" TO "handover_worker";
GRANT SELECT, DELETE ON "public"."api_tokens" TO "handover_worker";
GRANT SELECT ("created_by", "id", "owner_id"), UPDATE ("owner_id", "updated_at") ON "public"."contacts" TO "handover_worker";
GRANT SELECT ("chosen_user_id", "field_id", "user_id") ON "public"."custom_hierarchy_values" TO "handover_worker";
GRANT SELECT, INSERT, DELETE ON "public"."default_account_teams" TO "handover_worker";
GRANT SELECT, INSERT, DELETE ON "public"."default_opportunity_teams" TO "handover_worker";
GRANT SELECT, INSERT, DELETE ON "public"."delegated_administrators" TO "handover_worker";
GRANT SELECT, INSERT, DELETE ON "public"."follows" TO "handover_worker";
GRANT SELECT ("frozen_at", "id", "owner_id", "subject_id"), UPDATE ("frozen_at") ON "public"."forecast_overrides" TO "handover_worker";
GRANT SELECT, INSERT, DELETE ON "public"."group_members" TO "handover_worker";
GRANT SELECT ("id", "invited_by", "status", "user_id"), INSERT ("email", "invited_by", "org_id", "sent_at", "status", "user_id"), UPDATE ("answered_at", "sent_at", "status") ON "public"."invitations" TO "handover_worker";
GRANT SELECT ("id", "org_id", "user_id"), UPDATE ("user_id") ON "public"."licenses" TO "handover_worker";
GRANT SELECT ("id", "user_id") ON "public"."notes" TO "handover_worker";
GRANT SELECT ("created_by", "id", "owner_id"), UPDATE ("owner_id", "updated_at") ON "public"."opportunities" TO "handover_worker";
GRANT SELECT, INSERT, UPDATE ("split_percentage", "user_id"), DELETE ON "public"."opportunity_team_members" TO "handover_worker";
GRANT SELECT ("administrator_id", "id"), UPDATE ("administrator_id") ON "public"."portals" TO "handover_worker";
GRANT SELECT ("org_id", "user_id"), UPDATE ("user_id") ON "public"."primary_administrators" TO "handover_worker";
GRANT SELECT, INSERT, DELETE ON "public"."record_shares" TO "handover_worker";
GRANT SELECT ("permission", "role") ON "public"."role_permissions" TO "handover_worker";
GRANT SELECT, INSERT, DELETE ON "public"."sessions" TO "handover_worker";
GRANT SELECT, INSERT, UPDATE ("owner_id", "updated_at"), DELETE ON "public"."tasks" TO "handover_worker";
GRANT SELECT, INSERT, DELETE ON "public"."territory_members" TO "handover_worker";
GRANT SELECT ("email", "id", "is_partner", "manager_id", "name", "org_id", "role", "status"), INSERT ("email", "name", "org_id", "role", "status"), UPDATE ("manager_id", "status", "updated_at") ON "public"."users" TO "handover_worker";
GRANT SELECT, INSERT, UPDATE ("user_id"), DELETE ON "public"."workflow_alert_recipients" TO "handover_worker";
