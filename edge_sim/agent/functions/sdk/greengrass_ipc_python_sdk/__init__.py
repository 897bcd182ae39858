"""What the Greengrass Core SDK imports from V1's runtime under this name, rewritten from its documented use."""
