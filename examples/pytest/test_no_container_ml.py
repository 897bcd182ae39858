"""Tests of the group in ../no-container-ml: what must be true of it on a board."""

import boto3
import pytest

GROUP = "../no-container-ml"


@pytest.fixture
def deployed(edge_group, edge_deploy):
    return edge_deploy(edge_group(GROUP))


def test_v1_would_take_the_group(assert_valid):
    assert_valid(GROUP)


@pytest.mark.usefixtures("deployed")
def test_each_function_opens_its_own_model_only(assert_access):
    assert_access("read-digits", "digits-model", "ro")
    assert_access("sort-wine", "wine-model", "rw")
    assert_access("sort-wine", "digits-model", "none")


def test_the_model_is_as_accurate_on_the_board(deployed):
    result = deployed.invoke("sort-wine", {"calibrate": 40}, expect={"wines": 89})
    assert result["accuracy"] > 0.95


def test_a_build_that_does_not_start_is_rolled_back(edge_board, edge_update):
    board = edge_board(stable_window=1)
    edge_update("1.11.6", board)
    update = edge_update("1.11.7", board, starts=False, expect="FAILED")
    assert update.running == "1.11.6"


def test_the_simulated_board_says_what_about_it_is_true(edge_board):
    board = edge_board()
    facts = {row.fact: row.verdict for row in board.certificate}
    assert facts["users"] == facts["groups"] == "true"
    assert "ttyUSB0" in board.run("ls", "/dev").stdout


@pytest.mark.usefixtures("edge_cloud")
def test_boto3_finds_the_cloud():
    greengrass = boto3.client("greengrass")
    assert greengrass.create_group(Name="made-here")["Name"] == "made-here"
