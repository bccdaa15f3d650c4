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
  description = "Who may launch jobs and read what they wrote, for example user:ada@example.org."
}

variable "builders" {
  type        = list(string)
  default     = []
  description = "Who may push images and write templates, for example user:ada@example.org."
}

provider "google" {
  project = var.project
  region  = var.region
}

resource "google_project_service" "needed" {
  for_each           = toset(["artifactregistry.googleapis.com", "compute.googleapis.com", "dataflow.googleapis.com"])
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

# Who launches does so as the worker, and needs none of its rights: only to read the template, and what a job wrote.
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

resource "google_storage_bucket_iam_member" "launch" {
  for_each = toset(var.launchers)
  bucket   = google_storage_bucket.work.name
  role     = "roles/storage.objectViewer"
  member   = each.key
}

# Who builds pushes images and writes the template's file: no jobs, no data sets.
resource "google_artifact_registry_repository_iam_member" "push" {
  for_each   = toset(var.builders)
  repository = google_artifact_registry_repository.images.name
  location   = var.region
  role       = "roles/artifactregistry.writer"
  member     = each.key
}

resource "google_storage_bucket_iam_member" "templates" {
  for_each = toset(var.builders)
  bucket   = google_storage_bucket.work.name
  role     = "roles/storage.objectUser"
  member   = each.key

  condition {
    title      = "templates"
    expression = "resource.name.startsWith(\"projects/_/buckets/${google_storage_bucket.work.name}/objects/templates/\")"
  }
}

output "worker" {
  value       = google_service_account.worker.email
  description = "For --service-account-email."
}

output "repository" {
  value       = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}"
  description = "What the names of images begin with."
}
