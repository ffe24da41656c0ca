# Terraform configuration for Claude ecosystem infrastructure
terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.0"
    }
    kubernetes = {
      source  = "hashicorp/kubernetes"
      version = "~> 2.0"
    }
  }

  backend "s3" {
    bucket = "claude-terraform-state"
    key    = "infrastructure/terraform.tfstate"
    region = "us-west-2"
  }
}

# EKS Cluster Configuration
module "eks_cluster" {
  source = "./modules/eks"

  cluster_name    = var.cluster_name
  cluster_version = var.kubernetes_version

  vpc_id     = module.networking.vpc_id
  subnet_ids = module.networking.private_subnet_ids

  node_groups = {
    general = {
      instance_types = ["m5.large", "m5.xlarge"]
      min_size       = 3
      max_size       = 20
      desired_size   = 6

      labels = {
        role = "general-compute"
      }

      taints = []
    }

    agent_workers = {
      instance_types = ["c5.2xlarge", "c5.4xlarge"]
      min_size       = 2
      max_size       = 50
      desired_size   = 5

      labels = {
        role = "agent-execution"
      }

      taints = [{
        key    = "workload-type"
        value  = "agent-execution"
        effect = "NO_SCHEDULE"
      }]
    }

    memory_intensive = {
      instance_types = ["r5.2xlarge", "r5.4xlarge"]
      min_size       = 1
      max_size       = 10
      desired_size   = 2

      labels = {
        role = "memory-intensive"
      }

      taints = [{
        key    = "workload-type"
        value  = "memory-intensive"
        effect = "NO_SCHEDULE"
      }]
    }
  }
}

# RDS Database Cluster
module "database_cluster" {
  source = "./modules/rds"

  cluster_identifier = "${var.cluster_name}-database"
  engine            = "aurora-postgresql"
  engine_version    = "13.7"

  master_username = var.db_username
  master_password = var.db_password

  vpc_id               = module.networking.vpc_id
  db_subnet_group_name = module.networking.db_subnet_group_name

  instance_class = "db.r5.large"
  instances      = 3

  backup_retention_period = 30
  backup_window          = "03:00-04:00"
  maintenance_window     = "sun:04:00-sun:05:00"

  performance_insights_enabled = true
  monitoring_interval         = 60

  tags = var.common_tags
}

# Redis Cluster for Caching
module "redis_cluster" {
  source = "./modules/elasticache"

  cluster_id         = "${var.cluster_name}-redis"
  node_type         = "cache.r6g.large"
  num_cache_nodes   = 3
  parameter_group   = "default.redis7"
  port              = 6379

  vpc_id     = module.networking.vpc_id
  subnet_ids = module.networking.cache_subnet_ids

  at_rest_encryption_enabled = true
  transit_encryption_enabled = true
  auth_token                = var.redis_auth_token

  tags = var.common_tags
}
