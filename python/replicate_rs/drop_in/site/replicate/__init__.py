"""Stands in for the official client; `replicate_rs.drop_in` describes how."""

from replicate_rs.drop_in import package

package.build(__name__)
