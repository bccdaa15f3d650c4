# What a project needs once: a bucket, an image repository, and an account for the workers that can do no more than a job does.

terraform {
  required_version = ">= 1.5"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 6.0"
    }
  }
}

variable "project" {
  type        = string
  description = "Project id."
}

variable "region" {
  type        = string
  description = "Where jobs run and data lie, for example europe-west4."
}

variable "bucket" {
  type        = string
  description = "Name of the bucket for temporary files, templates and data sets. It is made here."
}

variable "input_buckets" {
  type        = list(string)
  default     = []
  description = "Buckets that hold the input and are there already. Workers may read them."
}

variable "launchers" {
  type        = list(string)
  default     = []
  description = "Who may launch jobs, for example user:ada@example.org."
}

provider "google" {
  project = var.project
  region  = var.region
}

resource "google_project_service" "needed" {
  for_each           = toset(["artifactregistry.googleapis.com", "cloudbuild.googleapis.com", "dataflow.googleapis.com"])
  service            = each.key
  disable_on_destroy = false
}

resource "google_storage_bucket" "work" {
  name                        = var.bucket
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  # Beam's temporary files: what a job that was killed leaves goes by itself.
  lifecycle_rule {
    condition {
      age            = 7
      matches_prefix = ["tmp/", "staging/"]
    }
    action {
      type = "Delete"
    }
  }
}

resource "google_artifact_registry_repository" "images" {
  repository_id = "seqcols"
  format        = "DOCKER"
  location      = var.region
  depends_on    = [google_project_service.needed]
}

resource "google_service_account" "worker" {
  account_id   = "seqcols-worker"
  display_name = "seqcols: Dataflow workers"
}

# The worker: what Dataflow asks of any worker, its own bucket, reading the inputs, pulling the image. Nothing of the project else.
resource "google_project_iam_member" "worker" {
  project = var.project
  role    = "roles/dataflow.worker"
  member  = google_service_account.worker.member
}

resource "google_storage_bucket_iam_member" "work" {
  bucket = google_storage_bucket.work.name
  role   = "roles/storage.objectAdmin"
  member = google_service_account.worker.member
}

resource "google_storage_bucket_iam_member" "input" {
  for_each = toset(var.input_buckets)
  bucket   = each.key
  role     = "roles/storage.objectViewer"
  member   = google_service_account.worker.member
}

resource "google_artifact_registry_repository_iam_member" "pull" {
  repository = google_artifact_registry_repository.images.name
  location   = var.region
  role       = "roles/artifactregistry.reader"
  member     = google_service_account.worker.member
}

# People: they launch jobs as the worker, and need none of its rights.
resource "google_service_account_iam_member" "launch" {
  for_each           = toset(var.launchers)
  service_account_id = google_service_account.worker.name
  role               = "roles/iam.serviceAccountUser"
  member             = each.key
}

resource "google_project_iam_member" "launch" {
  for_each = toset(var.launchers)
  project  = var.project
  role     = "roles/dataflow.developer"
  member   = each.key
}

output "worker" {
  value       = google_service_account.worker.email
  description = "For --service-account-email."
}

output "repository" {
  value       = "${google_artifact_registry_repository.images.location}/${google_artifact_registry_repository.images.repository_id}"
  description = "Location and name of the image repository."
}
