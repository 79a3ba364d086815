"""Grammars and contexts: their contracts, and tables that are refused."""

import numpy as np
import pytest

from rhapsode.encoding import (
    Contexts,
    ContextsTable,
    FiniteContexts,
    FiniteGrammar,
    Grammar,
    GrammarTable,
)
from tests.contracts.contexts_contract import ContextsContract
from tests.contracts.grammar_contract import GrammarContract
from tests.encoding.brackets import CLOSING, END, OPENING, Brackets, Depths, last_element_grammar

VOCABULARY = 6


class TestFiniteGrammar(GrammarContract):
    def make(self) -> Grammar:
        return last_element_grammar(VOCABULARY)


class TestBrackets(GrammarContract):
    def make(self) -> Grammar:
        return Brackets(VOCABULARY)


class TestBracketsInATable(GrammarContract):
    def make(self) -> Grammar:
        table = Brackets(VOCABULARY).compiled()
        assert table is not None
        return FiniteGrammar(table)


class TestDepths(ContextsContract):
    def make(self) -> Contexts:
        return Depths(VOCABULARY)


class TestDepthsInATable(ContextsContract):
    def make(self) -> Contexts:
        return FiniteContexts(Depths(VOCABULARY).compiled())


def test_brackets_close_before_a_text_ends() -> None:
    grammar = Brackets(VOCABULARY)
    state = grammar.advance(np.array([[OPENING], [4], [OPENING]]), grammar.init(3))
    state = grammar.advance(np.array([[OPENING], [4], [CLOSING]]), state)
    allowed_BV = grammar.allowed_BV(state)
    assert allowed_BV[:, END].tolist() == [False, True, True]
    assert allowed_BV[:, CLOSING].tolist() == [True, False, False]
    table = grammar.compiled()
    assert table is not None
    assert table.next_SV.shape == (4, VOCABULARY)


def test_tables_that_are_none_are_refused() -> None:
    next_SV = np.zeros((2, 3), dtype=np.int32)
    allowed_SV = np.ones((2, 3), dtype=np.bool_)
    with pytest.raises(ValueError, match="different shapes"):
        GrammarTable(next_SV, allowed_SV[:1])
    with pytest.raises(ValueError, match="at least one element"):
        GrammarTable(next_SV, np.array([[True] * 3, [False] * 3]))
    for wrong in (next_SV + 2, next_SV - 1):
        with pytest.raises(ValueError, match="states from 0 to 1"):
            GrammarTable(wrong, allowed_SV)
    with pytest.raises(ValueError, match=r"shape \(S, V\)"):
        GrammarTable(next_SV[0], allowed_SV[0])
    with pytest.raises(ValueError, match="the shape"):
        ContextsTable(next_SV, np.zeros((2, 2), dtype=np.int64), (3,))
    for value in (-1, 3):
        with pytest.raises(ValueError, match="values must lie"):
            ContextsTable(next_SV, np.full((2, 1), value), (3,))


def test_tables_are_laid_out_for_compiled_code() -> None:
    next_SV = np.zeros((3, 2), dtype=np.int64).T
    next_SV.flags.writeable = False
    table = GrammarTable(next_SV, np.ones((3, 2), dtype=np.bool_).T)
    for array in (table.next_SV, table.allowed_SV):
        assert array.flags.c_contiguous
        assert array.flags.writeable
    assert table.next_SV.dtype == np.int32
