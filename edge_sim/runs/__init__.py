"""One run of a scenario: the local cloud, boards, boto3's calls, and the outcome."""
