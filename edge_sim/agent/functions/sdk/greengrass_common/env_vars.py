"""The worker's environment as the Greengrass Core SDK reads it: values at import, None for what is not set."""

import os

AUTH_TOKEN = os.getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN")
MY_FUNCTION_ARN = os.getenv("MY_FUNCTION_ARN")
SHADOW_FUNCTION_ARN = os.getenv("SHADOW_FUNCTION_ARN")
ROUTER_FUNCTION_ARN = os.getenv("ROUTER_FUNCTION_ARN")
SECRETS_MANAGER_FUNCTION_ARN = os.getenv("SECRETS_MANAGER_FUNCTION_ARN")
GG_DAEMON_PORT = os.getenv("GG_DAEMON_PORT")
ENCODING_TYPE = os.getenv("ENCODING_TYPE")
GGC_MAX_INTERFACE_VERSION = os.getenv("GGC_MAX_INTERFACE_VERSION")
