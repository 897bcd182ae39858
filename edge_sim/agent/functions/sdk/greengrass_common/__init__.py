"""What the Greengrass Core SDK imports from V1's runtime under this name, written anew from its documented use."""
