"""Strategies of training on one device or many, under one protocol (`base.Engine`)."""
